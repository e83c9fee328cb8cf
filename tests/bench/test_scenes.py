from __future__ import annotations

from pathlib import Path

import pytest

from bench.scenes import Benchmark, Counts, score, truths


def test_cuts_count_within_one_frame_and_once() -> None:
    scenes = [(0, 11), (11, 20), (20, 21), (21, 42), (42, 60)]
    assert score(scenes, cuts=[10, 20, 40], gradual=[]) == Counts(right=2, wrong=2, missed=1)


def test_a_boundary_inside_a_gradual_transition_is_left_out() -> None:
    scenes = [(0, 30), (38, 60), (60, 90)]
    assert score(scenes, cuts=[60], gradual=[(28, 40)]) == Counts(right=1)
    assert score(scenes, cuts=[60], gradual=[(39, 40)]) == Counts(right=1)
    assert score(scenes, cuts=[60], gradual=[(40, 50)]) == Counts(right=1, wrong=1)
    assert score(scenes, cuts=[38], gradual=[]) == Counts(right=1, wrong=1)


def test_measures() -> None:
    counts = Counts(right=3, wrong=1, missed=2) + Counts(right=1, missed=1)
    assert counts == Counts(4, 1, 3)
    assert (counts.precision, counts.recall) == (4 / 5, 4 / 7)
    harmonic = 2 / (1 / counts.precision + 1 / counts.recall)
    assert counts.f1 == pytest.approx(harmonic)
    assert Counts(missed=3).f1 == Counts(wrong=3).f1 == 0


def test_known_films_are_scored(media: Path) -> None:
    groups = truths(media)
    assert set(groups) == {"el_faro_de_sal", "the_last_orchard", "real clips"}
    [bikes] = [truth for truth in groups["real clips"] if truth.path.name == "bikes.mp4"]
    found = Benchmark(["content", "ffmpeg"], "cpu").run(bikes)
    assert found == {"content": Counts(right=5), "ffmpeg": Counts(right=5)}
