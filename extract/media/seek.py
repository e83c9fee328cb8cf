"""Finding single pictures again, bit for bit as the one pass over the file decoded them.

A decoder that starts in the middle is not always right: pictures that lead a keyframe may refer
to what came before it, damage is concealed with older pictures, and some containers guess
timestamps after a jump. So a jump is used only where it can be checked, and everything else is
decoded from the start.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from extract.errors import MediaError
from extract.media.container import PathLike, choose_video, discard_others, open_container, open_decoder
from extract.media.damage import Shown
from extract.media.picture import Picture
from extract.media.picture_clock import PictureClock
from extract.media.stream import DecodeCounts, decode, packets, read
from extract.types import MediaInfo

SEEKABLE = ("mov", "matroska")  # containers that index keyframes with exact timestamps
MAX_STEPS_BACK = 4  # keyframes to try before the start of the file is taken


@dataclass(frozen=True, order=True)
class PictureKey:
    """What finds one picture again: its place in presentation order and its exact timestamp."""

    index: int
    pts: int


@dataclass(frozen=True)
class Jump:
    """A place to start decoding: what to pass to ``seek`` and the keyframe that it lands on."""

    offset: int
    keyframe_pts: int


def fetch(
    path: PathLike,
    *,
    media: MediaInfo,
    keyframe_targets: Sequence[tuple[int, int]],
    counts: DecodeCounts,
    gpu: int | None = None,
) -> Iterator[Picture]:
    """The pictures with these (index, pts), in presentation order, equal to those of ``stream.read``.

    In MP4/MOV and Matroska/WebM only the stretch from the keyframe before a target (shared by the
    targets that follow the same one) is decoded. A picture found that way is taken only if its
    PTS is the target's, it does not precede the keyframe in presentation order (so it cannot lean
    on anything older), and nothing on the way was damaged. As soon as one fails that, and in all
    other containers, the rest is found by decoding from the start and counting. One difference
    remains: where timestamps are broken, ``start_seconds`` after a jump is the plain PTS.

    Args:
        path: the file that ``media`` was probed from.
        media: from :func:`extract.media.probe.probe`.
        keyframe_targets: index and PTS of each picture as ``stream.read`` gave them, in any order.
        counts: added to, like the one pass.
        gpu: as of the one pass.

    Raises:
        MediaError: the file cannot be opened, or a target is not in it (it changed meanwhile).
    """
    targets = sorted({PictureKey(*target) for target in keyframe_targets})
    if not targets:
        return
    found = 0
    with open_container(path, gpu=gpu) as container:
        for picture in _by_jumps(container, media, targets, counts):
            yield picture
            found += 1
    rest = SecondPass(path, media=media, counts=counts, gpu=gpu)
    with closing(rest):
        for target in targets[found:]:
            yield rest.find(target)


class SecondLook:
    """Pictures found again one by one, in ascending order: by jumps, until one cannot be trusted.

    From then on by one more pass through the file, however many pictures are still to come.
    """

    def __init__(
        self, path: PathLike, *, media: MediaInfo, counts: DecodeCounts, gpu: int | None = None
    ) -> None:
        self._path, self._media, self._counts, self._gpu = path, media, counts, gpu
        self._pass: SecondPass | None = None

    def find(self, target: PictureKey) -> Picture:
        """The picture with this index and PTS. Raises MediaError if it is not there now."""
        if self._pass is None:
            with open_container(self._path, gpu=self._gpu) as container:
                for picture in _by_jumps(container, self._media, [target], self._counts):
                    return picture
            self._pass = SecondPass(self._path, media=self._media, counts=self._counts, gpu=self._gpu)
        return self._pass.find(target)

    def close(self) -> None:
        if self._pass is not None:
            self._pass.close()


class SecondPass:
    """Decodes from the start and stops at each target, ascending."""

    def __init__(
        self, path: PathLike, *, media: MediaInfo, counts: DecodeCounts, gpu: int | None = None
    ) -> None:
        self._media = media
        self._parts = read(path, media=media, video=True, sounds=(), counts=counts, gpu=gpu)

    def find(self, target: PictureKey) -> Picture:
        for part in self._parts:
            if isinstance(part, Picture) and part.index == target.index:
                if part.pts != target.pts:
                    break
                return part
        raise MediaError(f"{self._media.path!r}: picture {target} is no longer there; did the file change?")

    def close(self) -> None:
        self._parts.close()


def _by_jumps(
    container: InputContainer, media: MediaInfo, targets: Sequence[PictureKey], counts: DecodeCounts
) -> Iterator[Picture]:
    """As many of the first targets as jumps can find exactly; stops at the first doubt."""
    stream = choose_video(container)
    if stream is None or not set(SEEKABLE) & set(container.format.name.split(",")):
        return
    discard_others(container, [stream])
    open_decoder(stream, strict=True)
    jumps = [(target, _find_keyframe(container, stream, target.pts)) for target in targets]
    for _, group in groupby(jumps, key=lambda pair: pair[1] and pair[1].keyframe_pts):
        wanted = list(group)
        jump = wanted[0][1]
        if jump is None:
            return
        counts.seeks += 1
        container.seek(jump.offset, stream=stream, backward=True)
        with closing(_pictures_from(container, stream, media, jump.keyframe_pts, counts)) as pictures:
            for picture in pictures:
                target = wanted[0][0]
                if picture.pts == target.pts:
                    yield dataclasses.replace(picture, index=target.index)
                    wanted = wanted[1:]
                if not wanted or picture.pts > target.pts:
                    break
        if wanted:
            return


def _find_keyframe(container: InputContainer, stream: VideoStream, pts: int) -> Jump | None:
    """The last keyframe that is shown no later than ``pts``; reads packets, decodes nothing."""
    offset = pts
    for _ in range(MAX_STEPS_BACK):
        try:
            container.seek(offset, stream=stream, backward=True)
            packet = next(iter(container.demux(stream)))
        except (av.FFmpegError, StopIteration):
            return None
        if packet.pts is None or not packet.is_keyframe:
            return None
        if packet.pts <= pts:
            return Jump(offset, packet.pts)
        offset = min(offset, packet.pts if packet.dts is None else packet.dts) - 1
    return None


def _pictures_from(
    container: InputContainer,
    stream: VideoStream,
    media: MediaInfo,
    keyframe_pts: int,
    counts: DecodeCounts,
) -> Generator[Picture, None, None]:
    """Pictures from a keyframe on, as long as nothing casts a doubt on them."""
    clock = PictureClock(stream, media)
    last_pts: int | None = None
    try:
        for packet in packets(container, [stream], counts):
            for frame in decode(packet, counts, strict=True):
                if (
                    not isinstance(frame, av.VideoFrame)
                    or frame.pts is None
                    or frame.is_corrupt
                    or packet.is_corrupt
                ):
                    return
                if last_pts is None and frame.pts < keyframe_pts:
                    continue  # leads the keyframe: may have been decoded without what it refers to
                if frame.pts != keyframe_pts if last_pts is None else frame.pts <= last_pts:
                    return
                last_pts = frame.pts
                yield from clock.push(Shown(frame, frame))
    except av.FFmpegError:
        return
    yield from clock.finish()
