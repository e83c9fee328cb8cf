# mypy: disable-error-code="untyped-decorator"
"""Triton kernels of dual TV-L1: several iterations to a launch, and no word to the host.

A program of :func:`iterate` holds a tile of TILE x TILE pixels with its halo on the chip, does
``count`` iterations, and writes the middle: each iteration spoils one pixel at every edge of the
tile, as wide as the halo is. It leaves its part of the squared update of every iteration, which
:func:`decide` adds up, in the same order each time. If a pair turns out to have converged inside a
launch, the next launch repeats it from the same start for as many iterations as were wanted: the
old state is still there, because launches go from one buffer to the other.

Layouts: ``state`` (2 buffers, pairs, 6, height, width): u1, u2, p11, p12, p21, p22; ``data``
(pairs, 4, height, width): Ix, Iy, Ix² + Iy², constant part of the residual; ``errors`` (pairs,
tiles, HALO) float32; ``control`` (pairs, 4) int32: mode, buffer, iterations to repeat, iterations done.
"""

from __future__ import annotations

import triton
import triton.language as tl

HALO = 6  # iterations to a launch; divides OpenCV's 30
TILE = 64
DONE, ACTIVE, REPEAT = 0, 1, 2  # modes of a pair, plain numbers below: kernels see no globals


@triton.jit
def iterate(
    state: tl.tensor, data: tl.tensor, errors: tl.tensor, control: tl.tensor,
    pairs: tl.tensor, height: tl.tensor, width: tl.tensor, count: tl.tensor,
    DATA_STEP: tl.constexpr, THETA: tl.constexpr, DUAL_STEP: tl.constexpr, FLAT: tl.constexpr,
    TILE: tl.constexpr, HALO: tl.constexpr,
) -> None:  # fmt: skip
    """Grid (tiles across, tiles down, pairs)."""
    pair = tl.program_id(2)
    mode = tl.load(control + pair * 4)
    if mode != 0:
        buffer = tl.load(control + pair * 4 + 1)
        steps = tl.where(mode == 1, count, tl.load(control + pair * 4 + 2))
        line = tl.arange(0, TILE)
        row = tl.program_id(1) * (TILE - 2 * HALO) - HALO + line[:, None]
        column = tl.program_id(0) * (TILE - 2 * HALO) - HALO + line[None, :]
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        middle = (line >= HALO) & (line < TILE - HALO)
        own = inside & middle[:, None] & middle[None, :]
        has_right = inside & (column < width - 1)
        has_below = inside & (row < height - 1)
        left, above, right, below = _neighbours(line, TILE)

        area = height.to(tl.int64) * width
        place = row * width + column
        source = state + (buffer * pairs + pair) * 6 * area + place
        target = state + ((1 - buffer) * pairs + pair) * 6 * area + place
        u1, u2, p11, p12, p21, p22 = _load6(source, area, inside)
        ix = tl.load(data + pair * 4 * area + place, inside, 0.0)
        iy = tl.load(data + (pair * 4 + 1) * area + place, inside, 0.0)
        square = tl.load(data + (pair * 4 + 2) * area + place, inside, 0.0)
        constant = tl.load(data + (pair * 4 + 3) * area + place, inside, 0.0)
        bound = DATA_STEP * square
        inverse = tl.where(square > FLAT, -1.0 / tl.maximum(square, FLAT), 0.0)

        tile = tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)
        tiles = tl.num_programs(0) * tl.num_programs(1)
        sums = errors + (pair * tiles + tile) * HALO
        for step in range(steps):
            residual = constant + (ix * u1 + iy * u2)
            share = residual * inverse
            share = tl.where(residual > bound, -DATA_STEP, share)
            share = tl.where(residual < -bound, DATA_STEP, share)
            div1 = (p11 - tl.gather(p11, left, 1)) + (p12 - tl.gather(p12, above, 0))
            div2 = (p21 - tl.gather(p21, left, 1)) + (p22 - tl.gather(p22, above, 0))
            new1 = tl.where(inside, (u1 + share * ix) + THETA * div1, 0.0)
            new2 = tl.where(inside, (u2 + share * iy) + THETA * div2, 0.0)
            moved = (new1 - u1) * (new1 - u1) + (new2 - u2) * (new2 - u2)
            tl.store(sums + step, tl.sum(tl.sum(tl.where(own, moved, 0.0), 1), 0))
            u1, u2 = new1, new2
            p11, p12 = _ascend(u1, p11, p12, right, below, has_right, has_below, DUAL_STEP)
            p21, p22 = _ascend(u2, p21, p22, right, below, has_right, has_below, DUAL_STEP)
        tl.store(target, u1, own)
        tl.store(target + area, u2, own)
        tl.store(target + 2 * area, p11, own)
        tl.store(target + 3 * area, p12, own)
        tl.store(target + 4 * area, p21, own)
        tl.store(target + 5 * area, p22, own)


@triton.jit
def _neighbours(line: tl.tensor, TILE: tl.constexpr) -> tl.tensor:
    """Places in a tile for tl.gather: left, above, right, below; at its edges the pixel itself."""
    before, after = tl.maximum(line - 1, 0), tl.minimum(line + 1, TILE - 1)
    return (
        tl.broadcast_to(before[None, :], (TILE, TILE)),
        tl.broadcast_to(before[:, None], (TILE, TILE)),
        tl.broadcast_to(after[None, :], (TILE, TILE)),
        tl.broadcast_to(after[:, None], (TILE, TILE)),
    )


@triton.jit
def _load6(source: tl.tensor, area: tl.tensor, inside: tl.tensor) -> tl.tensor:
    return (
        tl.load(source, inside, 0.0),
        tl.load(source + area, inside, 0.0),
        tl.load(source + 2 * area, inside, 0.0),
        tl.load(source + 3 * area, inside, 0.0),
        tl.load(source + 4 * area, inside, 0.0),
        tl.load(source + 5 * area, inside, 0.0),
    )


@triton.jit
def _ascend(
    u: tl.tensor, px: tl.tensor, py: tl.tensor, right: tl.tensor, below: tl.tensor,
    has_right: tl.tensor, has_below: tl.tensor, DUAL_STEP: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    dx = tl.where(has_right, tl.gather(u, right, 1) - u, 0.0)
    dy = tl.where(has_below, tl.gather(u, below, 0) - u, 0.0)
    norm = 1.0 + DUAL_STEP * tl.sqrt(dx * dx + dy * dy)
    return (px + DUAL_STEP * dx) / norm, (py + DUAL_STEP * dy) / norm


@triton.jit
def decide(
    errors: tl.tensor, control: tl.tensor, tiles: tl.tensor, limit: tl.tensor, count: tl.tensor,
    TILES: tl.constexpr, STEPS: tl.constexpr, HALO: tl.constexpr,
) -> None:  # fmt: skip
    """Grid (pairs,): what a pair does in the next launch, from the updates in the last one.

    TILES and STEPS are powers of two, at least the number of tiles and HALO.
    """
    pair = tl.program_id(0)
    mine = control + pair * 4
    mode = tl.load(mine)
    if mode != 0:
        buffer = tl.load(mine + 1)
        repeat = tl.load(mine + 2)
        tile, step = tl.arange(0, TILES)[:, None], tl.arange(0, STEPS)
        known = (tile < tiles) & (step[None, :] < HALO)
        parts = tl.load(errors + (pair * tiles + tile) * HALO + step[None, :], known, 0.0)
        ended = (tl.sum(parts, 0) <= limit) & (step < count)
        first = tl.min(tl.where(ended, step, STEPS), 0)  # STEPS: none ended
        repeated = mode == 2
        back = (mode == 1) & (first < count - 1)  # too far: from the old state again
        finished = repeated | (first == count - 1)
        done = tl.where(repeated, repeat, count)
        tl.store(mine, tl.where(finished, 0, tl.where(back, 2, 1)))
        tl.store(mine + 1, tl.where(back, buffer, 1 - buffer))
        tl.store(mine + 2, first + 1)
        tl.store(mine + 3, tl.load(mine + 3) + tl.where(back, 0, done))


@triton.jit
def median(
    state: tl.tensor,
    smooth: tl.tensor,
    control: tl.tensor,
    pairs: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """5x5 median of u of active pairs, borders repeated; grid (blocks of pixels, 2, pairs).

    ``smooth`` (pairs, 2, height, width) receives it; :func:`accept` puts it into the state. Method as
    in :mod:`extract.ops.motion.tvl1.numba_median`.
    """
    field, pair = tl.program_id(1), tl.program_id(2)
    if tl.load(control + pair * 4) == 1:
        area = height.to(tl.int64) * width
        place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        here = place < height * width
        y, x = place // width, place % width
        u = state + ((tl.load(control + pair * 4 + 1) * pairs + pair) * 6 + field) * area
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
def accept(
    state: tl.tensor,
    smooth: tl.tensor,
    control: tl.tensor,
    pairs: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """Copies the median of active pairs into the state; grid as that of :func:`median`."""
    field, pair = tl.program_id(1), tl.program_id(2)
    if tl.load(control + pair * 4) == 1:
        area = height.to(tl.int64) * width
        place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        here = place < height * width
        u = state + ((tl.load(control + pair * 4 + 1) * pairs + pair) * 6 + field) * area
        tl.store(u + place, tl.load(smooth + (pair * 2 + field) * area + place, here), here)


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
