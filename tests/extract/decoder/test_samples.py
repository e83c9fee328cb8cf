"""Further frames of scenes: which ones, and that nothing else decides."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract.decoder.samples import MOST_SAMPLES, SceneSamples
from extract.types import Scene

FPS = 24.0


class Shown:
    """As much of a picture as the grid looks at."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.start_seconds, self.end_seconds = index / FPS, (index + 1) / FPS


def scene(start: int, end: int) -> Scene:
    middle = (start + end) // 2
    times = (start / FPS, end / FPS, middle, middle, middle / FPS, (middle + 1) / FPS)
    return Scene(0, start, end, *times)


def pick(chosen: Scene, *, step: float, frames: int, look_ahead: int = 100) -> list[int]:
    """Indices chosen when the scene closes ``look_ahead`` frames after its end."""
    samples = SceneSamples(step)
    for index in range(min(frames, chosen.end_frame + look_ahead)):
        samples.add(Shown(index))  # type: ignore[arg-type]
        open_start = chosen.start_seconds if index >= chosen.start_frame else index / FPS
        samples.forget(open_start, max(open_start, (index - look_ahead) / FPS))
    return [picture.index for picture in samples.of(chosen)]


def test_a_short_scene_has_none() -> None:
    assert pick(scene(0, 47), step=2.0, frames=500) == []


def test_frames_on_the_grid_away_from_the_keyframe() -> None:
    # 62.75 to 69.58 s with the keyframe at 66.1: of 64, 66 and 68 s, 66 is the keyframe again
    chosen = scene(1506, 1670)
    assert [index / FPS for index in pick(chosen, step=2.0, frames=2000)] == [64.0, 68.0]


@given(
    start=st.integers(0, 3000),
    length=st.integers(1, 6000),
    look_ahead=st.sampled_from([0, 1, 75, 100, 400]),
)
def test_the_look_ahead_of_the_detector_changes_nothing(start: int, length: int, look_ahead: int) -> None:
    chosen = scene(start, start + length)
    frames = pick(chosen, step=2.0, frames=10_000, look_ahead=look_ahead)
    assert frames == pick(chosen, step=2.0, frames=10_000, look_ahead=20)
    assert len(frames) <= MOST_SAMPLES + 1
    gap = max((b - a for a, b in pairwise(frames)), default=0) / FPS
    assert gap <= 2 * 2.0 * math.ceil(length / FPS / 2.0 / MOST_SAMPLES) * 2


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A shot and a card that the detector below takes for one scene."""
    from bench.demo_trailers import Shot, Trailer, render_trailer

    path = tmp_path_factory.mktemp("merged") / "merged.mp4"
    shots = (Shot(4.0, "clouds"), Shot(2.5, "black", ("MIDNIGHT HARBOUR",)))
    render_trailer(path, Trailer("merged", shots, sound=False))
    yield path


def words(path: Path, **ocr: Any) -> set[str]:
    import extract

    options = {"scenes": {"detector": "content", "threshold": 255.0}, "ocr": ocr}
    tables = extract.video(path, experts=["ocr"], options=options, device="cpu")
    assert tables["scenes"].num_rows == 1
    starts = tables["ocr"]["start_seconds"].to_pylist()
    assert starts == sorted(starts)
    return {word for line in tables["ocr"]["text"].to_pylist() for word in line.split()}


def test_ocr_reads_a_card_that_is_not_in_the_middle_of_its_scene(merged: Path) -> None:
    assert words(merged, sample_seconds=None) == set()
    assert words(merged) == {"MIDNIGHT", "HARBOUR"}
