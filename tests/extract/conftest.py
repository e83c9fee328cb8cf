"""Made-up pictures, and a run of a detector that checks its promises at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
        """All scenes; every scene must keep what ``open_start`` and ``settled`` promised before."""
        found: list[Interval] = []
        promised = (detector.open_start, detector.settled)

        def take(closed: list[Interval]) -> None:
            nonlocal promised
            for start, end in closed:
                assert start >= promised[0] and end >= promised[1], ((start, end), promised)
                assert start < end and (not found or start >= found[-1][1])
                found.append((start, end))
            now = (detector.open_start, detector.settled)
            assert now[0] >= promised[0] and now[1] >= promised[1], (promised, now)
            promised = now

        count = 0
        for count, picture in enumerate(pictures, start=1):
            take(detector.push(picture))
            assert detector.settled <= count
        take(detector.finish())
        assert promised == (count, count)
        return found

    return run
