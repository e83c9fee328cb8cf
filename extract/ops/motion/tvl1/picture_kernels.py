# mypy: disable-error-code="untyped-decorator"
"""Triton kernels between the iterations of dual TV-L1: the pyramid, the beginning and end of a scale, warps.

They follow :mod:`extract.ops.motion.tvl1.resize` and :mod:`extract.ops.motion.tvl1.reference`. Layouts are
those of :mod:`extract.ops.motion.tvl1.kernels`; ``flow`` is (pairs, 2, height, width), ``live`` (1,) int32
the number of pairs that are no padding. ``near`` and ``share`` say for each row and then for each column
which of the source's is the first that it is made of, and how much of the next one it has.
"""

from __future__ import annotations

import triton
import triton.language as tl

from extract.ops.motion.tvl1.kernels import RECORD, note


@triton.jit(do_not_specialize=["rows", "columns", "height", "width"])
def shrink(
    source: tl.tensor, target: tl.tensor, near: tl.tensor, share: tl.tensor,
    rows: tl.tensor, columns: tl.tensor, height: tl.tensor, width: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """Pictures (n, rows, columns) to (n, height, width); grid (blocks of pixels, n)."""
    picture = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = place < height * width
    value = _resized(
        source + picture * rows * columns, near, share, place, here, rows, columns, height, width
    )
    tl.store(target + picture * height * width + place, value, here)


@triton.jit(do_not_specialize=["rows", "columns", "height", "width", "factor"])
def begin(
    flow: tl.tensor, state: tl.tensor, near: tl.tensor, share: tl.tensor, live: tl.tensor, after: tl.tensor,
    rows: tl.tensor, columns: tl.tensor, height: tl.tensor, width: tl.tensor, factor: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """A scale's first state: the flow (rows, columns) of the last one, larger, and p = 0.

    Grid (blocks of pixels, pairs).
    """
    pair = tl.program_id(1)
    if pair < tl.load(live):
        place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        here = place < height * width
        area = height.to(tl.int64) * width
        fields = state + pair * 12 * area + place
        plane = rows.to(tl.int64) * columns
        u = flow + pair * 2 * plane
        u1 = _resized(u, near, share, place, here, rows, columns, height, width)
        u2 = _resized(u + plane, near, share, place, here, rows, columns, height, width)
        zero = tl.zeros([BLOCK], tl.float32)
        tl.store(fields, u1 * factor, here)
        tl.store(fields + area, u2 * factor, here)
        for field in range(2, 6):
            tl.store(fields + field * area, zero, here)
    if tl.program_id(0) == 0:
        note(after, pair, 0, 0, 0, 0, 0)


@triton.jit(do_not_specialize=["height", "width"])
def linearise(
    first: tl.tensor, second: tl.tensor, state: tl.tensor, data: tl.tensor, live: tl.tensor,
    before: tl.tensor, after: tl.tensor, height: tl.tensor, width: tl.tensor,
    CUBIC: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """``data`` of a warp: the second picture and its central differences, sampled at x + u.

    A sample is the cubic convolution of 4 x 4 pixels, zero outside. Their differences take two more
    rows and columns, and where those lie outside the border repeats. Grid (blocks of pixels, pairs).
    """
    pair = tl.program_id(1)
    buffer = tl.load(before + pair * RECORD + 1)
    is_live = pair < tl.load(live)
    if is_live:
        area = height.to(tl.int64) * width
        place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        here = place < height * width
        u = state + (pair * 2 + buffer) * 6 * area + place
        u1, u2 = tl.load(u, here, 0.0), tl.load(u + area, here, 0.0)
        # What lies farther out is as zero as this is, and fits an integer.
        y = tl.minimum(tl.maximum((place // width).to(tl.float32) + u2, -4.0), height + 4.0)
        x = tl.minimum(tl.maximum((place % width).to(tl.float32) + u1, -4.0), width + 4.0)
        row, column = tl.floor(y), tl.floor(x)
        y0, y1, y2, y3 = _cubic(y - row, row.to(tl.int32) - 1, height, CUBIC)
        x0, x1, x2, x3 = _cubic(x - column, column.to(tl.int32) - 1, width, CUBIC)
        image = second + pair * area
        top, left = row.to(tl.int32) - 2, column.to(tl.int32) - 2
        v0, _ = _row(image, top, left, height, width, here, x0, x1, x2, x3)
        v1, d1 = _row(image, top + 1, left, height, width, here, x0, x1, x2, x3)
        v2, d2 = _row(image, top + 2, left, height, width, here, x0, x1, x2, x3)
        v3, d3 = _row(image, top + 3, left, height, width, here, x0, x1, x2, x3)
        v4, d4 = _row(image, top + 4, left, height, width, here, x0, x1, x2, x3)
        v5, _ = _row(image, top + 5, left, height, width, here, x0, x1, x2, x3)
        warped = y0 * v1 + y1 * v2 + y2 * v3 + y3 * v4
        ix = y0 * d1 + y1 * d2 + y2 * d3 + y3 * d4
        iy = 0.5 * (y0 * (v2 - v0) + y1 * (v3 - v1) + y2 * (v4 - v2) + y3 * (v5 - v3))
        constant = warped - ix * u1 - iy * u2 - tl.load(first + pair * area + place, here, 0.0)
        out = data + pair * 3 * area + place
        tl.store(out, ix, here)
        tl.store(out + area, iy, here)
        tl.store(out + 2 * area, constant, here)
    if tl.program_id(0) == 0:
        note(after, pair, is_live.to(tl.int32), buffer, tl.load(before + pair * RECORD + 2), 0, 0)


@triton.jit(do_not_specialize=["height", "width"])
def finish(
    state: tl.tensor, flow: tl.tensor, records: tl.tensor, iterations: tl.tensor,
    height: tl.tensor, width: tl.tensor, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """Each pair's u of its newest buffer into ``flow``, and its ``iterations`` (pairs,) int32.

    Grid (blocks of pixels, pairs).
    """
    pair = tl.program_id(1)
    area = height.to(tl.int64) * width
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = place < height * width
    u = state + (pair * 2 + tl.load(records + pair * RECORD + 1)) * 6 * area + place
    tl.store(flow + pair * 2 * area + place, tl.load(u, here), here)
    tl.store(flow + (pair * 2 + 1) * area + place, tl.load(u + area, here), here)
    if tl.program_id(0) == 0:
        tl.store(iterations + pair, tl.load(records + pair * RECORD + 2))


@triton.jit
def _resized(
    source: tl.tensor, near: tl.tensor, share: tl.tensor, place: tl.tensor, here: tl.tensor,
    rows: tl.tensor, columns: tl.tensor, height: tl.tensor, width: tl.tensor,
) -> tl.tensor:  # fmt: skip
    y, x = place // width, height + place % width
    top, left = tl.load(near + y, here, 0), tl.load(near + x, here, 0)
    down, right = tl.load(share + y, here, 0.0), tl.load(share + x, here, 0.0)
    bottom, next_column = tl.minimum(top + 1, rows - 1), tl.minimum(left + 1, columns - 1)
    upper = tl.load(source + top * columns + left, here, 0.0) * (1 - right)
    upper += tl.load(source + top * columns + next_column, here, 0.0) * right
    lower = tl.load(source + bottom * columns + left, here, 0.0) * (1 - right)
    lower += tl.load(source + bottom * columns + next_column, here, 0.0) * right
    return upper * (1 - down) + lower * down


@triton.jit
def _cubic(t: tl.tensor, first: tl.tensor, length: tl.tensor, CUBIC: tl.constexpr) -> tl.tensor:
    """The weights of four neighbours, of which ``first`` is the first; none outside of ``length``.

    The place lies ``t`` behind the second.
    """
    s = 1.0 - t
    a = CUBIC * t * s * s
    b = ((CUBIC + 2.0) * t - (CUBIC + 3.0)) * t * t + 1.0
    c = ((CUBIC + 2.0) * s - (CUBIC + 3.0)) * s * s + 1.0
    return (
        tl.where((first >= 0) & (first < length), a, 0.0),
        tl.where((first + 1 >= 0) & (first + 1 < length), b, 0.0),
        tl.where((first + 2 >= 0) & (first + 2 < length), c, 0.0),
        tl.where((first + 3 >= 0) & (first + 3 < length), 1.0 - a - b - c, 0.0),
    )


@triton.jit
def _row(
    image: tl.tensor, y: tl.tensor, left: tl.tensor, height: tl.tensor, width: tl.tensor, here: tl.tensor,
    x0: tl.tensor, x1: tl.tensor, x2: tl.tensor, x3: tl.tensor,
) -> tl.tensor:  # fmt: skip
    """Of six pixels in a row, ``left`` the first: the middle four and their differences, by their weights."""
    row = image + tl.minimum(tl.maximum(y, 0), height - 1) * width
    g0 = tl.load(row + tl.minimum(tl.maximum(left, 0), width - 1), here, 0.0)
    g1 = tl.load(row + tl.minimum(tl.maximum(left + 1, 0), width - 1), here, 0.0)
    g2 = tl.load(row + tl.minimum(tl.maximum(left + 2, 0), width - 1), here, 0.0)
    g3 = tl.load(row + tl.minimum(tl.maximum(left + 3, 0), width - 1), here, 0.0)
    g4 = tl.load(row + tl.minimum(tl.maximum(left + 4, 0), width - 1), here, 0.0)
    g5 = tl.load(row + tl.minimum(tl.maximum(left + 5, 0), width - 1), here, 0.0)
    value = x0 * g1 + x1 * g2 + x2 * g3 + x3 * g4
    difference = 0.5 * (x0 * (g2 - g0) + x1 * (g3 - g1) + x2 * (g4 - g2) + x3 * (g5 - g3))
    return value, difference
