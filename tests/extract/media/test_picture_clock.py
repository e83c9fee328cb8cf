from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from extract.media.damage import Shown
from extract.media.picture_clock import PictureClock
from extract.types import MediaInfo


@pytest.mark.parametrize(
    ("pts", "starts"),
    [
        ([0, 1, 2], [0, 0.1, 0.2]),
        ([0, 1, 1, 2], [0, 0.1, 0.100001, 0.2]),
        ([0, 3, 2, 4], [0, 0.3, 0.300001, 0.4]),
        ([0, 1, None, 3], [0, 0.1, 0.2, 0.3]),
        ([None, None], [0, 0.1]),
    ],
)
def test_time_never_goes_back(clip: Path, pts: list[int | None], starts: list[float]) -> None:
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.time_base = Fraction(1, 10)
        media = MediaInfo("x", 1, "mp4", 1.0, True, False, width=16, height=16, fps=10.0)
        clock = PictureClock(stream, media)
    pictures = []
    for value in pts:
        frame = av.VideoFrame(16, 16, "yuv420p")
        frame.pts = value
        pictures += list(clock.push(Shown(frame, frame)))
    pictures += list(clock.finish())
    assert [p.start_seconds for p in pictures] == pytest.approx(starts, abs=1e-9)
    assert all(a.end_seconds == b.start_seconds for a, b in pairwise(pictures))
    assert pictures[-1].end_seconds == pytest.approx(starts[-1] + 0.1)
