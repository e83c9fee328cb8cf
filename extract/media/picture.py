"""A decoded picture that is converted only when, and only as far as, a consumer needs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import cast

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from extract.declarations import FrameSpec
from extract.types import MediaInfo

LONGEST_ENLARGED = 4096  # pixels: a strip of one row of pixels is no reason to run out of memory


class View:
    """How the stored pictures of one stream become upright ones with square pixels.

    One per pass over a stream: it owns the scalers, whose set-up costs as much as a small
    conversion, so there is one for each kind of output. Pictures whose stored size differs from
    the first one's (a stream may change) are brought to the size that :class:`MediaInfo` names.

    Args:
        media: what :func:`extract.media.probe.probe` said of the file; it must have video.

    Raises:
        ValueError: if ``media`` has no video or its rotation is not a quarter turn.
    """

    def __init__(self, media: MediaInfo) -> None:
        if media.width is None or media.height is None:
            raise ValueError(f"a view needs a file with video: {media.path}")
        if media.rotation_degrees not in (0, 90, 180, 270):
            raise ValueError(
                f"rotation_degrees is {media.rotation_degrees}; allowed: 0, 90, 180, 270 (clockwise)"
            )
        self.width = media.width
        self.height = media.height
        self._turns = media.rotation_degrees // 90
        self._flipped = media.flipped
        self._reformatters: dict[tuple[int, int, str], VideoReformatter] = {}
        self._copiers: dict[tuple[int, int, str], Graph] = {}

    def image(self, frame: av.VideoFrame, *, width: int, height: int, format: str) -> NDArray[np.uint8]:
        """The frame as an upright uint8 array (height, width[, 3]) in a packed 8-bit ``format``.

        Sizes are changed by swscale's bicubic filter before the turn, which gives the same
        picture (the filter is separable) for less work. Where the size stays, the conversion is
        exactly PyAV's own.
        """
        if self._turns % 2:
            width, height = height, width
        same_size = (frame.width, frame.height) == (width, height)
        reformatter = self._reformatters.setdefault((width, height, format), VideoReformatter())
        converted = reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=format,
            interpolation=Interpolation.BILINEAR if same_size else Interpolation.BICUBIC,
            threads=1,
        )
        image = cast("NDArray[np.uint8]", converted.to_ndarray())
        if self._flipped:
            image = image[::-1]
        # numpy turns counter-clockwise; a copy, because the rest of the code wants contiguous rows.
        return np.ascontiguousarray(np.rot90(image, -self._turns))

    def copy(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The same frame in memory of its own (libavfilter's ``copy``)."""
        kind = (frame.width, frame.height, frame.format.name)
        graph = self._copiers.get(kind)
        if graph is None:
            graph = self._copiers[kind] = Graph()
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
            )
            copy, sink = graph.add("copy"), graph.add("buffersink")
            source.link_to(copy)
            copy.link_to(sink)
            graph.configure()
        graph.vpush(frame)
        return graph.vpull()


@dataclass(frozen=True, eq=False)
class Picture:
    """One decoded frame, on screen for ``start_seconds <= t < end_seconds``.

    ``raw`` is the decoder's frame, ``pts`` its timestamp in the stream's time base, ``index`` its
    place in presentation order. Interlaced frames are left as they are (both fields woven).
    """

    raw: av.VideoFrame
    view: View
    index: int
    pts: int
    start_seconds: float
    end_seconds: float

    def kept(self) -> Picture:
        """This picture to be held on to, in memory of its own.

        A decoder that conceals damage may show what a recycled buffer held before. Which buffer it gets
        must not depend on who holds pictures: so the decoder's own are let go as soon as the next
        ones come.
        """
        return replace(self, raw=self.view.copy(self.raw))

    @cached_property
    def size_bytes(self) -> int:
        """What holding this picture costs: the bytes of its raw planes."""
        return sum(plane.buffer_size for plane in self.raw.planes)

    def rgb(self) -> NDArray[np.uint8]:
        """uint8 (height, width, 3), native size, upright, square pixels.

        Without rotation and with square pixels this is ``raw.to_ndarray(format="rgb24")``, bit
        for bit. Otherwise the width is stretched by the sample aspect ratio (swscale, bicubic).
        """
        return self.view.image(self.raw, width=self.view.width, height=self.view.height, format="rgb24")

    def scaled(self, spec: FrameSpec) -> NDArray[np.uint8]:
        """uint8 (h, w, 3), or (h, w) if ``spec.grey``: upright, the short side ``spec.short_side``.

        The aspect is kept to the nearest pixel, the filter is bicubic. Smaller pictures stay as they are
        unless ``spec.enlarge``, which goes as far as a long side of LONGEST_ENLARGED. A short side of None
        is the native size, as in :meth:`rgb`.
        """
        short, long = sorted((self.view.width, self.view.height))
        most = max(1.0, LONGEST_ENLARGED / long) if spec.enlarge else 1.0
        scale = min(most, (spec.short_side or short) / short)
        width = max(1, round(self.view.width * scale))
        height = max(1, round(self.view.height * scale))
        return self.view.image(self.raw, width=width, height=height, format="gray" if spec.grey else "rgb24")

    def thumbnail(self, width: int, height: int) -> NDArray[np.uint8]:
        """uint8 (height, width, 3): upright, squeezed to this size whatever the aspect, bicubic.

        The same as ``ffmpeg -s WxH -pix_fmt rgb24``, which TransNetV2's published code reads.
        """
        return self.view.image(self.raw, width=width, height=height, format="rgb24")
