"""Rows beside rows: what differs is named, and numbers by how much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from extract.declarations import Embedding, TableSpec
from extract.registry import make_expert
from extract.tables import to_batch
from extract.types import Column
from pipeline.recompute.compare import FLOAT32_TOLERANCE, Difference, differences, tolerance

SPEC = TableSpec(
    (
        Column("text", "string", "words"),
        Column("score", "float32", "0 to 1"),
        Column("box", "list<float32>", "corners"),
        Column("count", "int32", "of something"),
    ),
    Embedding((4,), nan=True),
)


def rows(count: int = 5) -> list[dict[str, Any]]:
    return [
        {
            "start_seconds": float(i),
            "end_seconds": i + 1.0,
            "text": f"line {i}",
            "score": 0.5,
            "box": [1.0, 2.0],
            "count": i,
            "embedding": np.array([1.0, 2.0, -2.0, 4.0 + i]),
        }
        for i in range(count)
    ]


def batches(of: Sequence[dict[str, Any]], step: int) -> list[pa.RecordBatch]:
    return [
        to_batch(of[first : first + step], spec=SPEC, video_id="a", first_row=first)
        for first in range(0, len(of), step)
    ]


def changed(**values: Any) -> list[Difference]:
    """What is found where row 3 is changed; the two sides are cut in different places."""
    other = rows()
    other[3] |= values
    return list(differences(batches(rows(), 2), batches(other, 3)))


def test_equal_rows_have_no_difference_however_they_are_cut() -> None:
    assert changed() == []


@pytest.mark.parametrize(
    ("name", "value", "stored", "came"),
    [
        ("text", "line E", "'line 3'", "'line E'"),
        ("text", None, "'line 3'", "None"),
        ("start_seconds", 3.000001, "3.0", "3.000001"),
        ("count", 4, "3", "4"),
        ("score", None, "0.5", "None"),
        ("box", [1.0], "2 values", "1 values"),
    ],
)
def test_what_is_no_number_differs_without_measure(name: str, value: Any, stored: str, came: str) -> None:
    assert changed(**{name: value}) == [Difference(name, stored, came, 3)]


def test_a_vector_differs_by_error_cosine_and_its_largest_value() -> None:
    (found,) = changed(embedding=np.array([1.0, 2.0, -2.5, 7.0]))
    a, b = np.array([1.0, 2.0, -2.0, 7.0]), np.array([1.0, 2.0, -2.5, 7.0])
    assert (found.column, found.row, found.stored, found.came) == ("embedding[2]", 3, "-2", "-2.5")
    assert found.error == pytest.approx(0.5 / np.linalg.norm(a)) and found.largest == 0.5
    assert found.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_vectors_are_compared_as_they_are_stored() -> None:
    assert changed(embedding=np.array([1.0, 2.0, -2.0, 7.0001])) == []  # float16 has it as 7


def test_a_hole_where_there_was_a_value_has_no_measure() -> None:
    (found,) = changed(embedding=np.array([1.0, math.nan, -2.0, 7.0]))
    assert (found.column, found.came, found.error) == ("embedding[1]", "nan", math.inf)


def test_small_numbers_differ_in_absolute_terms() -> None:
    (score,) = changed(score=0.625)
    assert (score.column, score.error, score.largest) == ("score", 0.125, 0.125)
    (box,) = changed(box=[1.0, 2.5])
    assert (box.column, box.stored, box.came) == ("box[1]", "2", "2.5")


def test_tolerances_are_those_of_the_page() -> None:
    clip, scenes = make_expert("clip"), make_expert("scenes")
    assert [tolerance(clip, name) for name in ("bfloat16", "float16", "float32")] == [0.04, 0.005, 0.005]
    assert tolerance(scenes, "float32") == FLOAT32_TOLERANCE == 0.001
