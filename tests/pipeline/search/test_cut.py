"""The stretch of a film that a hit is cut out as."""

from __future__ import annotations

import pytest

from pipeline.search.cut import stretch_of
from pipeline.search.hits import Hit
from pipeline.search.shots import Shots

SHOTS = Shots((1.0, 4.0, 6.0, 50.0), (4.0, 6.0, 50.0, 52.0), (0, 1, 2, 3))


@pytest.mark.parametrize(
    ("hit", "cut"),
    [
        ((4.5, 4.6), (4.0, 6.0)),
        ((4.0, 6.0), (4.0, 6.0)),
        ((3.9, 4.1), (1.0, 6.0)),
        ((30.0, 31.0), (20.0, 41.0)),  # of a long shot what is around it
        ((5.0, 30.0), (4.0, 40.0)),
        ((0.2, 0.5), (0.2, 4.0)),  # before all shots
    ],
)
def test_a_clip_is_the_shots_of_a_moment(hit: tuple[float, float], cut: tuple[float, float]) -> None:
    assert stretch_of(Hit("", "a", *hit, None, ""), SHOTS) == cut


def test_without_shots_it_is_what_is_around() -> None:
    assert stretch_of(Hit("", "a", 1.0, 5.0, None, ""), Shots()) == (0.0, 7.0)
