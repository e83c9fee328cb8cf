"""Rows that are stored beside rows that came now: where they differ, and by how much."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from extract.declarations import Expert
from extract.tables import embedding_matrix

# Of experts that are always computed in float32: the least of all tolerances (docs/experts.md).
FLOAT32_TOLERANCE = 0.001
_SHOWN_CHARACTERS = 80

Values: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Difference:
    """One row that is not what is stored.

    ``error`` is the relative error of the row's values in the Euclidean norm, infinite for what is no
    number (a text, a time, a state, a number of rows). ``cosine`` and ``largest`` (the largest absolute
    difference) are of vectors; ``largest`` is of single numbers too.
    """

    column: str
    stored: str
    came: str
    row: int | None = None
    error: float = math.inf
    cosine: float | None = None
    largest: float | None = None


def tolerance(expert: Expert, precision: str | None) -> float:
    """The largest relative error that another kind of device may make, as docs/experts.md states it.

    In float32 that is the one of float16, as an upper bound: TF32, which has float16's digits, is off.
    """
    if expert.tolerance is None:
        return FLOAT32_TOLERANCE
    return expert.tolerance.bfloat16 if precision == "bfloat16" else expert.tolerance.float16


def differences(stored: Iterable[pa.RecordBatch], came: Iterable[pa.RecordBatch]) -> Iterator[Difference]:
    """The worst row of each column, for each stretch of as many rows; nothing where all values are equal."""
    for mine, theirs in _side_by_side(iter(stored), iter(came)):
        for name in mine.schema.names:
            found = _column(name, mine[name], theirs[name])
            if found is not None:
                place, difference = found
                yield replace(difference, row=mine["row"][place].as_py())


def _side_by_side(
    left: Iterator[pa.RecordBatch], right: Iterator[pa.RecordBatch]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Slices of the same rows, in order, however each side is cut."""
    a, b = next(left, None), next(right, None)
    while a is not None and b is not None:
        rows = min(len(a), len(b))
        yield a.slice(0, rows), b.slice(0, rows)
        a = a.slice(rows) if len(a) > rows else next(left, None)
        b = b.slice(rows) if len(b) > rows else next(right, None)


def _column(name: str, stored: pa.Array, came: pa.Array) -> tuple[int, Difference] | None:
    """The place of the worst row, and how it differs."""
    if name == "embedding":
        return _vectors(name, embedding_matrix(stored), embedding_matrix(came))
    if name in ("start_seconds", "end_seconds") or not _numbers(stored.type):
        return _exact(name, stored, came)
    if not stored.is_valid().equals(came.is_valid()):
        return _exact(name, stored, came)
    if pa.types.is_list(stored.type):
        return _lists(name, stored, came)
    a, b = (column.fill_null(0).to_numpy(zero_copy_only=False)[:, None] for column in (stored, came))
    return _vectors(name, a, b, least=1.0)


def _numbers(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind.value_type if pa.types.is_list(kind) else kind))


def _exact(name: str, stored: pa.Array, came: pa.Array) -> tuple[int, Difference] | None:
    for place, (mine, theirs) in enumerate(zip(stored.to_pylist(), came.to_pylist(), strict=True)):
        if mine != theirs and not (mine != mine and theirs != theirs):
            return place, Difference(name, _shown(mine), _shown(theirs))
    return None


def _lists(name: str, stored: pa.Array, came: pa.Array) -> tuple[int, Difference] | None:
    worst: tuple[int, Difference] | None = None
    for place, (mine, theirs) in enumerate(zip(stored.to_pylist(), came.to_pylist(), strict=True)):
        if mine is None or mine == theirs:
            continue
        if len(mine) != len(theirs):
            return place, Difference(name, f"{len(mine)} values", f"{len(theirs)} values")
        found = _vectors(name, np.array([mine], np.float32), np.array([theirs], np.float32))
        if found is not None and (worst is None or found[1].error > worst[1].error):
            worst = place, found[1]
    return worst


def _vectors(name: str, stored: Values, came: Values, *, least: float = 0.0) -> tuple[int, Difference] | None:
    """Of (rows, values). Errors of rows whose norm is below ``least`` are relative to that."""
    unequal = ((stored != came) & ~(np.isnan(stored) & np.isnan(came))).any(axis=1)
    places = np.flatnonzero(unequal)
    if not len(places):
        return None
    a, b = stored[places].astype(np.float64), came[places].astype(np.float64)
    holes = (np.isnan(a) != np.isnan(b)).any(axis=1)
    a_known, b_known = np.nan_to_num(a), np.nan_to_num(b)
    norms = np.maximum(np.linalg.norm(a_known, axis=1), least)
    with np.errstate(divide="ignore"):  # of a vector of zeros every error is infinite
        errors = np.where(holes, np.inf, np.linalg.norm(a_known - b_known, axis=1) / norms)
    i = int(errors.argmax())
    gaps = np.where(np.isnan(a[i]) != np.isnan(b[i]), np.inf, np.abs(a_known[i] - b_known[i]))
    value = int(gaps.argmax())
    vector = stored.shape[1] > 1
    return int(places[i]), Difference(
        column=f"{name}[{value}]" if vector else name,
        stored=f"{a[i, value]:.7g}",
        came=f"{b[i, value]:.7g}",
        error=float(errors[i]),
        cosine=_cosine(a_known[i], b_known[i]) if vector else None,
        largest=float(gaps[value]),
    )


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms else 0.0


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
