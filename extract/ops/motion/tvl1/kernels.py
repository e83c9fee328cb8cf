# mypy: disable-error-code="untyped-decorator"
"""Triton kernel of dual TV-L1's iterations: several to a launch, and no word to the host.

A program of :func:`iterate` holds a tile of TILE x TILE pixels with its halo on the chip, does
``count`` iterations, and writes the middle: each iteration spoils one pixel at every edge of the
tile, as wide as the halo is. It leaves its part of the squared update of every iteration, which the
next launch adds up, in the same order each time (:func:`judge`). If a pair turns out to have converged
inside a launch, the next one repeats it from the same start for as many iterations as were wanted:
the old state is still there, because launches go from one buffer to the other.

Layouts: ``state`` (pairs, 2 buffers, 6, height, width): u1, u2, p11, p12, p21, p22; ``smooth`` (pairs,
2, height, width): the median of u; ``data`` (pairs, 3, height, width): Ix, Iy, constant part of the
residual; ``errors`` (pairs, tiles, HALO) float32.

Records, (pairs, 5) int32, say what became of each pair: its mode, the buffer with its newest state, its
iterations at this scale, the steps of its last launch (in mode REPEAT those that are to be done), and
whether that launch began with ``smooth``. A launch reads the records ``before`` it and writes those
``after`` it, in memory of their own, so that no program sees what another one writes.
"""

from __future__ import annotations

import triton
import triton.language as tl

RECORD = tl.constexpr(5)  # numbers in a record
DONE, RUNNING, REPEAT = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)  # modes of a pair


# Nothing is specialised: a program made for one pair might round another way than that for many.
@triton.jit(do_not_specialize=["height", "width", "limit", "count", "smoothed"])
def iterate(
    state: tl.tensor, smooth: tl.tensor, data: tl.tensor,
    errors_before: tl.tensor, errors: tl.tensor, before: tl.tensor, after: tl.tensor,
    height: tl.tensor, width: tl.tensor, limit: tl.tensor, count: tl.tensor, smoothed: tl.tensor,
    DATA_STEP: tl.constexpr, THETA: tl.constexpr, DUAL_STEP: tl.constexpr, FLAT: tl.constexpr,
    TILE: tl.constexpr, HALO: tl.constexpr, TILES: tl.constexpr, STEPS: tl.constexpr,
) -> None:  # fmt: skip
    """Grid (tiles across, tiles down, pairs). ``count`` 0: only what has to be repeated."""
    pair = tl.program_id(2)
    tile = tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)
    tiles = tl.num_programs(0) * tl.num_programs(1)
    mode, buffer, iterations, repeat, smoothed_before = judge(
        before, errors_before, pair, tiles, limit, TILES, STEPS, HALO
    )
    again = mode == REPEAT
    goes_on = ((mode == RUNNING) & (count > 0)).to(tl.int32)
    steps = tl.where(again, repeat, goes_on * count)
    source = tl.where(again, 1 - buffer, buffer)
    from_smooth = tl.where(again, smoothed_before, smoothed)
    if tile == 0:  # RUNNING or DONE: what is repeated now is done
        newest = tl.where(goes_on == 1, 1 - buffer, buffer)
        note(after, pair, goes_on, newest, iterations + goes_on * count, steps, from_smooth)
    if steps > 0:
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
        old = state + (pair * 2 + source) * 6 * area
        target = state + (pair * 2 + 1 - source) * 6 * area + place
        u = old
        if from_smooth == 1:
            u = smooth + pair * 2 * area
        u1, u2 = _load2(u + place, area, inside)
        p11, p12 = _load2(old + 2 * area + place, area, inside)
        p21, p22 = _load2(old + 4 * area + place, area, inside)
        ix, iy = _load2(data + pair * 3 * area + place, area, inside)
        constant = tl.load(data + (pair * 3 + 2) * area + place, inside, 0.0)
        bound, inverse = _thresholds(ix * ix + iy * iy, DATA_STEP, FLAT)

        sums = errors + (pair * tiles + tile) * HALO
        for step in range(steps):
            share = _share(constant + (ix * u1 + iy * u2), inverse, bound, DATA_STEP)
            div1 = (p11 - tl.gather(p11, left, 1)) + (p12 - tl.gather(p12, above, 0))
            div2 = (p21 - tl.gather(p21, left, 1)) + (p22 - tl.gather(p22, above, 0))
            new1 = tl.where(inside, (u1 + share * ix) + THETA * div1, 0.0)
            new2 = tl.where(inside, (u2 + share * iy) + THETA * div2, 0.0)
            moved = (new1 - u1) * (new1 - u1) + (new2 - u2) * (new2 - u2)
            tl.store(sums + step, tl.sum(tl.sum(tl.where(own, moved, 0.0), 1), 0))
            u1, u2 = new1, new2
            p11, p12 = _ascend(u1, p11, p12, right, below, has_right, has_below, DUAL_STEP)
            p21, p22 = _ascend(u2, p21, p22, right, below, has_right, has_below, DUAL_STEP)
        _store6(target, area, own, u1, u2, p11, p12, p21, p22)


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
def _load2(source: tl.tensor, area: tl.tensor, inside: tl.tensor) -> tl.tensor:
    return tl.load(source, inside, 0.0), tl.load(source + area, inside, 0.0)


@triton.jit
def _store6(
    target: tl.tensor, area: tl.tensor, own: tl.tensor,
    u1: tl.tensor, u2: tl.tensor, p11: tl.tensor, p12: tl.tensor, p21: tl.tensor, p22: tl.tensor,
) -> None:  # fmt: skip
    tl.store(target, u1, own)
    tl.store(target + area, u2, own)
    tl.store(target + 2 * area, p11, own)
    tl.store(target + 3 * area, p12, own)
    tl.store(target + 4 * area, p21, own)
    tl.store(target + 5 * area, p22, own)


@triton.jit
def _thresholds(square: tl.tensor, DATA_STEP: tl.constexpr, FLAT: tl.constexpr) -> tl.tensor:
    """Between which residuals the step ends on the data, and what it is a multiple of there."""
    return DATA_STEP * square, tl.where(square > FLAT, -1.0 / tl.maximum(square, FLAT), 0.0)


@triton.jit
def _share(residual: tl.tensor, inverse: tl.tensor, bound: tl.tensor, DATA_STEP: tl.constexpr) -> tl.tensor:
    """The step along the gradient that lowers the residual, never longer than DATA_STEP (thresholding)."""
    share = tl.where(residual > bound, -DATA_STEP, residual * inverse)
    return tl.where(residual < -bound, DATA_STEP, share)


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
def judge(
    record: tl.tensor, errors: tl.tensor, pair: tl.tensor, tiles: tl.tensor, limit: tl.tensor,
    TILES: tl.constexpr, STEPS: tl.constexpr, HALO: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """What a pair does now, from its record and the updates of its last launch.

    Returns the mode, the buffer with the newest state, the iterations that count, the steps to repeat and
    whether they begin with ``smooth``. TILES and STEPS are powers of two, at least the number of tiles
    and HALO.
    """
    mine = record + pair * RECORD
    mode, iterations, steps = tl.load(mine), tl.load(mine + 2), tl.load(mine + 3)
    if (mode == RUNNING) & (steps > 0):
        tile, step = tl.arange(0, TILES)[:, None], tl.arange(0, STEPS)
        known = (tile < tiles) & (step[None, :] < steps)
        parts = tl.load(errors + (pair * tiles + tile) * HALO + step[None, :], known, 0.0)
        small = (tl.sum(parts, 0) <= limit) & (step < steps)
        first = tl.min(tl.where(small, step, STEPS), 0)
        ended = tl.where(first < STEPS, first + 1, 0)  # from 1 on; 0: none
        too_far = (ended > 0) & (ended < steps)
        mode = tl.where(ended == 0, RUNNING, tl.where(too_far, REPEAT, DONE))
        iterations = tl.where(too_far, iterations - steps + ended, iterations)
        steps = ended
    return mode, tl.load(mine + 1), iterations, steps, tl.load(mine + 4)


@triton.jit
def note(
    record: tl.tensor, pair: tl.tensor, mode: tl.tensor, buffer: tl.tensor, iterations: tl.tensor,
    steps: tl.tensor, smoothed: tl.tensor,
) -> None:  # fmt: skip
    mine = record + pair * RECORD
    tl.store(mine, mode)
    tl.store(mine + 1, buffer)
    tl.store(mine + 2, iterations)
    tl.store(mine + 3, steps)
    tl.store(mine + 4, smoothed)
