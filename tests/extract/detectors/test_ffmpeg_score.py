from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from extract.detectors.ffmpeg_score import FFmpegScoreDetector, SceneScore


def frame(array: np.ndarray, format: str, pts: int | None) -> av.VideoFrame:
    made = av.VideoFrame.from_ndarray(array, format=format)
    if pts is not None:
        made.pts, made.time_base = pts, Fraction(1, 25)
    return made


@pytest.mark.parametrize("format, rows, deep", [("gray", 90, 1), ("rgb24", 90, 3), ("yuv420p", 135, 1)])
@pytest.mark.parametrize("timed", [True, False])
def test_score_is_the_documented_formula(format: str, rows: int, deep: int, timed: bool) -> None:
    rng = np.random.default_rng(1)
    score, previous, previous_mafd = SceneScore(), None, 0.0
    for pts, brightness in enumerate([60, 200, 60, 250, 250, 90, 92, 30]):
        array = rng.integers(brightness // 2, brightness, (rows, 160, deep), dtype=np.uint8)
        luma = array[:90].astype(float)
        mafd = 0.0 if previous is None else float(np.abs(luma - previous).mean())
        expected = min(mafd, abs(mafd - previous_mafd), 100.0) / 100
        stored = array if format == "rgb24" else array[..., 0]
        assert score(frame(stored, format, pts if timed else None)) == pytest.approx(expected, abs=1e-6)
        previous, previous_mafd = luma, mafd


def grey(levels: list[int]) -> list[np.ndarray]:
    return [np.full((36, 64, 3), level, np.uint8) for level in levels]


def test_cuts_where_the_score_is_above_the_threshold(pictures: Any, detect: Any) -> None:
    # 28 levels are a score of 0.28, 27 are exactly the threshold; a steady ramp is no cut at all.
    film = pictures(grey([10] * 5 + [38] * 5 + [65] * 5 + [95, 125, 155, 185]))
    assert detect(FFmpegScoreDetector(), film) == [(0, 5), (5, 15), (15, 19)]
    assert detect(FFmpegScoreDetector(threshold=0.29), film) == [(0, 15), (15, 19)]
    assert detect(FFmpegScoreDetector(threshold=0.5), film) == [(0, 19)]


def test_another_size_starts_anew(pictures: Any, detect: Any) -> None:
    small, large = grey([0] * 4), [np.full((72, 128, 3), 255, np.uint8)] * 4
    film = pictures(small) + pictures(large)
    assert detect(FFmpegScoreDetector(), film) == [(0, 8)]
