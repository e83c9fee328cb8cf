# mypy: disable-error-code="untyped-decorator"
"""Triton kernel of the 5x5 median of a flow, by the method of :mod:`extract.ops.motion.tvl1.numba_median`."""

from __future__ import annotations

import triton
import triton.language as tl

from extract.ops.motion.tvl1.kernels import RUNNING, judge, note


@triton.jit(do_not_specialize=["height", "width", "tiles", "limit"])
def median(
    state: tl.tensor, smooth: tl.tensor, errors: tl.tensor, before: tl.tensor, after: tl.tensor,
    height: tl.tensor, width: tl.tensor, tiles: tl.tensor, limit: tl.tensor,
    BLOCK: tl.constexpr, TILES: tl.constexpr, STEPS: tl.constexpr, HALO: tl.constexpr,
) -> None:  # fmt: skip
    """5x5 median of u of the pairs that go on, borders repeated, into ``smooth`` (pairs, 2, height, width).

    Grid (blocks of pixels, 2, pairs).
    """
    field, pair = tl.program_id(1), tl.program_id(2)
    mode, buffer, iterations, repeat, smoothed = judge(before, errors, pair, tiles, limit, TILES, STEPS, HALO)
    if (tl.program_id(0) == 0) & (field == 0):
        note(after, pair, mode, buffer, iterations, repeat, smoothed)
    if mode == RUNNING:
        area = height.to(tl.int64) * width
        place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        here = place < height * width
        y, x = place // width, place % width
        u = state + ((pair * 2 + buffer) * 6 + field) * area
        a0, b0, c0, d0, e0 = _column(u, y, x - 2, height, width, here)
        a1, b1, c1, d1, e1 = _column(u, y, x - 1, height, width, here)
        a2, b2, c2, d2, e2 = _column(u, y, x, height, width, here)
        a3, b3, c3, d3, e3 = _column(u, y, x + 1, height, width, here)
        a4, b4, c4, d4, e4 = _column(u, y, x + 2, height, width, here)
        a0, a1, a2, a3, a4 = _sort5(a0, a1, a2, a3, a4)
        b0, b1, b2, b3, b4 = _sort5(b0, b1, b2, b3, b4)
        c0, c1, c2, c3, c4 = _sort5(c0, c1, c2, c3, c4)
        d0, d1, d2, d3, d4 = _sort5(d0, d1, d2, d3, d4)
        e0, e1, e2, e3, e4 = _sort5(e0, e1, e2, e3, e4)
        low = tl.maximum(tl.minimum(a3, b2), tl.minimum(c1, d0))
        high = tl.minimum(tl.maximum(b4, c3), tl.maximum(d2, e1))
        b2, d0 = tl.maximum(a3, b2), tl.maximum(c1, d0)
        b4, d2 = tl.minimum(b4, c3), tl.minimum(d2, e1)
        a, b, c, d, e = _middle_of_7(low, b2, d0, high, b4, d2, a4)
        a, b, c, d = _middle_of_6(a, b, c, d, e, b3)
        a, b, c = _middle_of_5(a, b, c, d, c2)
        a, b = _middle_of_4(a, b, c, d1)
        a, b = _order(a, b)
        tl.store(smooth + (pair * 2 + field) * area + place, tl.maximum(a, tl.minimum(b, e0)), here)


@triton.jit
def _column(
    u: tl.tensor, y: tl.tensor, x: tl.tensor, height: tl.tensor, width: tl.tensor, here: tl.tensor
) -> tl.tensor:
    """Five pixels above each other, sorted."""
    x = tl.minimum(tl.maximum(x, 0), width - 1)
    top, bottom = tl.maximum(y - 2, 0), tl.minimum(y + 2, height - 1)
    return _sort5(
        tl.load(u + top * width + x, here, 0.0),
        tl.load(u + tl.maximum(y - 1, 0) * width + x, here, 0.0),
        tl.load(u + y * width + x, here, 0.0),
        tl.load(u + tl.minimum(y + 1, height - 1) * width + x, here, 0.0),
        tl.load(u + bottom * width + x, here, 0.0),
    )


@triton.jit
def _order(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    return tl.minimum(a, b), tl.maximum(a, b)


# The exchanges from here on stand in ``numba_median`` too: each compiler reads its own source.
@triton.jit
def _sort5(a: tl.tensor, b: tl.tensor, c: tl.tensor, d: tl.tensor, e: tl.tensor) -> tl.tensor:
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


@triton.jit
def _middle_of_7(
    a: tl.tensor, b: tl.tensor, c: tl.tensor, d: tl.tensor, e: tl.tensor, f: tl.tensor, g: tl.tensor
) -> tl.tensor:
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


@triton.jit
def _middle_of_6(
    a: tl.tensor, b: tl.tensor, c: tl.tensor, d: tl.tensor, e: tl.tensor, f: tl.tensor
) -> tl.tensor:
    a, b = _order(a, b)
    c, d = _order(c, d)
    e, f = _order(e, f)
    a, c = _order(a, c)
    _, e = _order(a, e)
    b, d = _order(b, d)
    d, _ = _order(d, f)
    return b, c, d, e


@triton.jit
def _middle_of_5(a: tl.tensor, b: tl.tensor, c: tl.tensor, d: tl.tensor, e: tl.tensor) -> tl.tensor:
    a, b = _order(a, b)
    c, d = _order(c, d)
    a, c = _order(a, c)
    _, e = _order(a, e)
    b, d = _order(b, d)
    e, _ = _order(e, d)
    return b, c, e


@triton.jit
def _middle_of_4(a: tl.tensor, b: tl.tensor, c: tl.tensor, d: tl.tensor) -> tl.tensor:
    a, b = _order(a, b)
    c, d = _order(c, d)
    _, c = _order(a, c)
    b, _ = _order(b, d)
    return b, c
