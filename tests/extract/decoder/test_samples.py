"""Further frames of scenes: which ones, and that nothing else decides."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract.decoder.samples import MOST_HELD_STEPS, SceneSamples
from extract.types import Scene

FPS = 24.0


class Shown:
    """As much of a picture as the grid looks at."""

    def __init__(self, index: int, times: Sequence[float]) -> None:
        self.index = index
        self.start_seconds, self.end_seconds = times[index], times[index + 1]


def scene_of(start: int, end: int, times: Sequence[float]) -> Scene:
    middle = bisect_right(times, (times[start] + times[end]) / 2, start, end) - 1
    return Scene(0, start, end, times[start], times[end], middle, middle, times[middle], times[middle + 1])


def looks(chosen: Scene, times: Sequence[float], *, step: float = 2.0, look_ahead: int = 100) -> list[int]:
    """Frames looked at, in order, if the scene closes ``look_ahead`` frames after its end."""
    samples, found = SceneSamples(step), []
    for index in range(min(len(times) - 1, chosen.end_frame + look_ahead)):
        samples.add(Shown(index, times))  # type: ignore[arg-type]
        if index >= chosen.start_frame:
            settled = max(chosen.start_frame, min(index - look_ahead, chosen.end_frame))
            found += samples.settle(chosen.start_seconds, times[settled])
        else:
            assert samples.settle(times[index], times[index]) == []
        assert len(samples._held) <= MOST_HELD_STEPS + 2 + look_ahead
    before, after = samples.close(chosen)
    indices = [picture.index for picture in (*found, *before)]
    if not indices or chosen.keyframe > indices[-1]:  # as the tap of ocr has it
        indices.append(chosen.keyframe)
    return indices + [picture.index for picture in after]


def longest_unseen(chosen: Scene, frames: Sequence[int], times: Sequence[float]) -> float:
    """Seconds of the longest stretch of the scene without a frame that is looked at."""
    ends = [chosen.start_seconds, *(times[f + 1] for f in frames)]
    starts = [*(times[f] for f in frames), chosen.end_seconds]
    return max(start - end for start, end in zip(starts, ends, strict=True))


STEADY = [index / FPS for index in range(10_000)]


def test_a_short_scene_is_seen_by_its_keyframe() -> None:
    assert looks(scene_of(0, 95, STEADY), STEADY) == [47]


def test_a_sample_near_the_keyframe_is_kept_where_nothing_else_is_near() -> None:
    # 62.75 to 69.58 s with the keyframe at 66.1: without 66 s, all from 64.04 to 66.1 s is unseen
    chosen = scene_of(1506, 1670, STEADY)
    assert [round(STEADY[f], 2) for f in looks(chosen, STEADY)] == [64.0, 66.0, 66.12, 68.0]


RHYTHMS = {
    "24 fps": [1 / 24],
    "1 fps": [1.0],
    "a frame in 7 s": [7.0],
    "variable": [0.04, 0.04, 0.5, 1.7, 0.04, 0.9, 3.3, 0.2],
}


@given(
    rhythm=st.sampled_from(sorted(RHYTHMS)),
    origin=st.integers(-450_000, 9_000_000).map(lambda ticks: ticks / 90_000),  # as MPEG's clock has it
    start=st.integers(0, 600),
    length=st.integers(1, 2000),
    step=st.sampled_from([0.5, 1.5, 2.0]),
    look_ahead=st.sampled_from([0, 1, 75, 400]),
)
def test_no_stretch_as_long_as_the_step_is_unseen_and_the_look_ahead_changes_nothing(
    rhythm: str, origin: float, start: int, length: int, step: float, look_ahead: int
) -> None:
    steps = RHYTHMS[rhythm] * ((start + length + 500) // len(RHYTHMS[rhythm]) + 1)
    times = [origin, *(origin + passed for passed in accumulate(steps))]
    chosen = scene_of(start, start + length, times)
    frames = looks(chosen, times, step=step, look_ahead=look_ahead)
    assert frames == sorted(set(frames)) == looks(chosen, times, step=step, look_ahead=20)
    assert longest_unseen(chosen, frames, times) < step
    most = (chosen.end_seconds - chosen.start_seconds) / step + 2
    assert len(frames) <= most, "no more than the step needs"


def test_a_long_scene_hands_its_frames_out_while_it_goes_on() -> None:
    samples, found = SceneSamples(2.0), []
    for index in range(9000):
        samples.add(Shown(index, STEADY))  # type: ignore[arg-type]
        found += samples.settle(0.0, STEADY[index])
        assert len(samples._held) <= MOST_HELD_STEPS + 2
    assert [round(p.start_seconds) for p in found] == list(range(0, 376, 2))


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


def test_ocr_reads_a_card_that_comes_and_goes_in_a_long_scene(tmp_path: Path) -> None:
    from bench.demo_trailers import Shot, Trailer, render_trailer

    path = tmp_path / "long.mp4"
    shots = (Shot(5.0, "black"), Shot(1.5, "black", ("MIDNIGHT HARBOUR",)), Shot(3.0, "black"))
    render_trailer(path, Trailer("long", shots, sound=False))
    assert words(path, sample_seconds=0.5) == {"MIDNIGHT", "HARBOUR"}, "longer than 16 steps"
    assert words(path, sample_seconds=1.5) == {"MIDNIGHT", "HARBOUR"}
