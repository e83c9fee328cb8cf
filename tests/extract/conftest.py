"""Made-up pictures, and a run of a detector that checks its promises at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from extract.detectors.base import Detector, Interval
from extract.media.picture import Picture, View
from extract.types import MediaInfo

MakePictures = Callable[..., list[Picture]]
Detect = Callable[[Detector, Iterable[Picture]], list[Interval]]


@pytest.fixture(scope="session")
def pictures() -> MakePictures:
    def make(images: Sequence[NDArray[np.uint8]], times: Sequence[float] | None = None) -> list[Picture]:
        """Images (H, W, 3) as pictures that start at ``times`` (default: 25 fps)."""
        starts = [i / 25 for i in range(len(images))] if times is None else list(times)
        height, width = images[0].shape[:2]
        view = View(
            MediaInfo("made-up", 0, "raw", None, has_video=True, has_audio=False, width=width, height=height)
        )
        made = []
        for index, (image, start) in enumerate(zip(images, starts, strict=True)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(start * 90000), Fraction(1, 90000)
            made.append(Picture(frame, view, index, frame.pts, start, start))
        return made

    return make


@pytest.fixture(scope="session")
def detect() -> Detect:
    def run(detector: Detector, pictures: Iterable[Picture]) -> list[Interval]:
        """All scenes; every scene must keep what was promised of it before, by all three indices."""
        found: list[Interval] = []
        promised = (detector.open_start, detector.settled)
        inside: set[tuple[int, int]] = set()  # what was said to be of one open scene

        def take(closed: list[Interval]) -> None:
            nonlocal promised
            for start, end in closed:
                assert start >= promised[0] and end >= promised[1], ((start, end), promised)
                assert start < end and (not found or start >= found[-1][1])
                found.append((start, end))
            now = (detector.open_start, detector.settled)
            assert now[0] >= promised[0] and now[1] >= promised[1], (promised, now)
            assert detector.open_until <= detector.settled
            promised = now
            if detector.open_start < detector.open_until:
                inside.add((detector.open_start, detector.open_until))

        count = 0
        for count, picture in enumerate(pictures, start=1):
            take(detector.push(picture))
            assert detector.settled <= count
        take(detector.finish())
        assert promised == (count, count)
        for first, stop in inside:
            assert any(start == first and stop <= end for start, end in found), (first, stop)
        return found

    return run


@pytest.fixture(scope="session")
def caffemodel() -> Callable[[Mapping[str, Sequence[NDArray[np.float32]]]], bytes]:
    """A .caffemodel with these blobs in these layers, written field by field."""

    def varint(value: int) -> bytes:
        low = [(value >> shift) & 0x7F for shift in range(0, max(1, value.bit_length()), 7)]
        return bytes([*(byte | 0x80 for byte in low[:-1]), low[-1]])

    def field(number: int, payload: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(payload)) + payload

    def blob(values: NDArray[np.float32]) -> bytes:
        shape = field(1, b"".join(varint(n) for n in values.shape))
        return field(5, values.astype("<f4").tobytes()) + field(7, shape)

    def write(layers: Mapping[str, Sequence[NDArray[np.float32]]]) -> bytes:
        parts = [field(1, b"a network")]
        for name, blobs in layers.items():
            content = field(1, name.encode()) + field(2, b"Convolution") + varint(10 << 3) + varint(1)
            parts.append(field(100, content + b"".join(field(7, blob(values)) for values in blobs)))
        return b"".join(parts)

    return write
