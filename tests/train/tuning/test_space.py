"""What ``--try`` says."""

from __future__ import annotations

import pytest

from extract.errors import UsageError
from train.tuning.space import ValueList, ValueRange, parse_space, points


def test_ranges_and_lists() -> None:
    space = parse_space(
        ["training.learning_rate=1e-5..1e-3:log", "model.layers=1..4", "model.dropout=0.1, 0.3"]
    )
    assert space == {
        "training.learning_rate": ValueRange(1e-5, 1e-3, log=True),
        "model.layers": ValueRange(1, 4, whole=True),
        "model.dropout": ValueList(("0.1", "0.3")),
    }


def test_a_grid_is_every_combination_of_lists() -> None:
    space = parse_space(["model.width=8,16", "model.dropout=0.1,0.3"])
    assert points(space) == [
        {"model.width": "8", "model.dropout": "0.1"},
        {"model.width": "8", "model.dropout": "0.3"},
        {"model.width": "16", "model.dropout": "0.1"},
        {"model.width": "16", "model.dropout": "0.3"},
    ]
    with pytest.raises(UsageError, match=r"--try model.width: a grid needs a list"):
        points(parse_space(["model.width=8..16"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("width=8", "give an option and what to try"),
        ("model.width=", "give an option and what to try"),
        ("model.width=8,8", "give each value once"),
        ("model.width=8..x", "a range needs two numbers"),
        ("model.width=16..8", "the range has to rise"),
        ("model.width=0..8:log", "the range has to rise, from above 0"),
        ("model.width=1..8:lin", "not in :lin"),
    ],
)
def test_what_is_no_space(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_space([text])


def test_nothing_and_twice() -> None:
    with pytest.raises(UsageError, match="nothing to try"):
        parse_space([])
    with pytest.raises(UsageError, match=r"--try model\.width is given twice"):
        parse_space(["model.width=8", "model.width=9"])
