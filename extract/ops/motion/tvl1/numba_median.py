"""The 5x5 median with borders repeated, compiled by Numba to vector minima and maxima.

A window's columns are sorted, then its rows. An element that 13 or more of the 25 are certain to
lie on one side of cannot be the median; 13 elements remain, six are gone from either
end. Of these the smallest and the largest are dropped in turn ("forgetful selection").
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Field = NDArray[np.float32]
compiled = njit(nogil=True, cache=True, error_model="numpy")


@compiled
def median(field: Field) -> None:
    """Replaces ``field`` (height, width + 1) by its median; the last column repeats the one before."""
    height, width = field.shape[0], field.shape[1] - 1
    padded = np.empty((height + 4, width + 4), np.float32)
    padded[2:-2, 2:-2] = field[:, :width]
    padded[2:-2, :2] = field[:, :1]
    padded[2:-2, -2:] = field[:, width - 1 : width]
    padded[:2] = padded[2]
    padded[-2:] = padded[-3]
    columns = np.empty((5, width + 4), np.float32)
    for y in range(height):
        _sort_columns(padded[y : y + 5], columns)
        _median_row(columns, field[y])
        field[y, width] = field[y, width - 1]


@compiled
def _sort_columns(rows: Field, columns: Field) -> None:
    for x in range(rows.shape[1]):
        a, b, c, d, e = _sort5(rows[0, x], rows[1, x], rows[2, x], rows[3, x], rows[4, x])
        columns[0, x] = a
        columns[1, x] = b
        columns[2, x] = c
        columns[3, x] = d
        columns[4, x] = e


@compiled
def _median_row(columns: Field, out: Field) -> None:
    r0, r1, r2, r3, r4 = columns[0], columns[1], columns[2], columns[3], columns[4]
    for x in range(columns.shape[1] - 4):
        _, _, _, a3, a4 = _sort5(r0[x], r0[x + 1], r0[x + 2], r0[x + 3], r0[x + 4])
        _, _, b2, b3, b4 = _sort5(r1[x], r1[x + 1], r1[x + 2], r1[x + 3], r1[x + 4])
        _, c1, c2, c3, _ = _sort5(r2[x], r2[x + 1], r2[x + 2], r2[x + 3], r2[x + 4])
        d0, d1, d2, _, _ = _sort5(r3[x], r3[x + 1], r3[x + 2], r3[x + 3], r3[x + 4])
        e0, e1, _, _, _ = _sort5(r4[x], r4[x + 1], r4[x + 2], r4[x + 3], r4[x + 4])
        # Dropped: the smallest of a3 b2 c1 d0 and the largest of b4 c3 d2 e1.
        a3, b2 = _order(a3, b2)
        c1, d0 = _order(c1, d0)
        b4, c3 = _order(b4, c3)
        d2, e1 = _order(d2, e1)
        _, low = _order(a3, c1)
        high, _ = _order(c3, e1)
        a, b, c, d, e = _middle_of_7(low, b2, d0, high, b4, d2, a4)
        a, b, c, d = _middle_of_6(a, b, c, d, e, b3)
        a, b, c = _middle_of_5(a, b, c, d, c2)
        a, b = _middle_of_4(a, b, c, d1)
        a, b = _order(a, b)
        b, _ = _order(b, e0)
        _, out[x] = _order(a, b)


@compiled
def _order(a: Any, b: Any) -> Any:
    return (a, b) if a < b else (b, a)


@compiled
def _sort5(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    a, b = _order(a, b)
    d, e = _order(d, e)
    c, e = _order(c, e)
    c, d = _order(c, d)
    a, d = _order(a, d)
    a, c = _order(a, c)
    b, e = _order(b, e)
    b, d = _order(b, d)
    b, c = _order(b, c)
    return a, b, c, d, e


@compiled
def _middle_of_7(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any) -> Any:
    """All but the smallest and the largest, in no order; likewise below."""
    a, b = _order(a, b)
    c, d = _order(c, d)
    e, f = _order(e, f)
    a, c = _order(a, c)
    a, e = _order(a, e)
    _, g = _order(a, g)
    b, d = _order(b, d)
    d, f = _order(d, f)
    g, _ = _order(g, f)
    return b, c, d, e, g


@compiled
def _middle_of_6(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> Any:
    a, b = _order(a, b)
    c, d = _order(c, d)
    e, f = _order(e, f)
    a, c = _order(a, c)
    _, e = _order(a, e)
    b, d = _order(b, d)
    d, _ = _order(d, f)
    return b, c, d, e


@compiled
def _middle_of_5(a: Any, b: Any, c: Any, d: Any, e: Any) -> Any:
    a, b = _order(a, b)
    c, d = _order(c, d)
    a, c = _order(a, c)
    _, e = _order(a, e)
    b, d = _order(b, d)
    e, _ = _order(e, d)
    return b, c, e


@compiled
def _middle_of_4(a: Any, b: Any, c: Any, d: Any) -> Any:
    a, b = _order(a, b)
    c, d = _order(c, d)
    _, c = _order(a, c)
    b, _ = _order(b, d)
    return b, c
