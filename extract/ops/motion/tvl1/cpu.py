"""One scale of dual TV-L1 on a CPU core: compiled by Numba, a pair at a time.

Of each iteration primal and dual step run in one sweep over the rows, in place, so that a pair's
ten fields pass through the cache once. Pairs run in threads; none sees another. The arithmetic is
that of :mod:`extract.ops.motion.tvl1.reference`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from extract.ops.motion.tvl1 import options as model
from extract.ops.motion.tvl1.numba_median import median
from extract.ops.motion.tvl1.options import Tvl1Options

Field = NDArray[np.float32]

TAU_OVER_THETA = np.float32(model.DUAL_STEP)
THETA = np.float32(model.THETA)
DATA_STEP = np.float32(model.DATA_STEP)
FLAT = np.float32(model.FLAT)
CUBIC = np.float32(model.CUBIC)
ZERO, HALF, ONE, TWO, THREE = (np.float32(n) for n in (0, 0.5, 1, 2, 3))
compiled = njit(nogil=True, cache=True, error_model="numpy")


def solve_scale(
    first: torch.Tensor, second: torch.Tensor, flow: torch.Tensor, options: Tvl1Options
) -> torch.Tensor:
    """As :func:`extract.ops.motion.tvl1.reference.solve_scale`, on ``torch.get_num_threads()`` threads."""
    limit = float(options.epsilon**2 * first[0].numel())
    outer, inner = options.outer_iterations, options.inner_iterations

    def solve(pair: tuple[Field, Field, Field]) -> int:
        a, b, uv = pair
        return int(_solve(a, b, uv, options.warps, outer, inner, options.median, limit))

    pairs = list(zip(first.numpy(), second.numpy(), flow.numpy(), strict=True))
    if len(pairs) == 1 or torch.get_num_threads() == 1:
        return torch.tensor([solve(pair) for pair in pairs])
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return torch.tensor(list(pool.map(solve, pairs)))


@compiled
def _solve(
    first: Field,
    second: Field,
    flow: Field,
    warps: int,
    outer: int,
    inner: int,
    smooth: bool,
    limit: float,
) -> int:
    """Improves ``flow`` (2, height, width) in place; returns the number of iterations."""
    height, width = first.shape
    # A column more than the picture: on the right of u for its gradient, on the left of p for its
    # divergence. p also has a row of zeros above.
    u = np.empty((2, height, width + 1), np.float32)
    dual = np.zeros((4, height + 1, width + 1), np.float32)
    data = np.empty((4, height, width), np.float32)
    target = _with_gradient(second)
    u[:, :, :width] = flow
    u[:, :, width] = flow[:, :, width - 1]
    iterations = 0
    for _ in range(warps):
        _linearise(first, target, u, data)
        error = np.inf
        for _ in range(outer):
            if error <= limit:
                break
            if smooth:
                median(u[0])
                median(u[1])
            for _ in range(inner):
                error = _iterate(u, dual, data)
                iterations += 1
                if error <= limit:
                    break
    flow[:] = u[:, :, :width]
    return iterations


@compiled
def _with_gradient(image: Field) -> Field:
    """The picture and its central differences along x and y, (height, width, 3)."""
    height, width = image.shape
    out = np.empty((height, width, 3), np.float32)
    for y in range(height):
        above, below = image[max(y - 1, 0)], image[min(y + 1, height - 1)]
        for x in range(width):
            out[y, x, 0] = image[y, x]
            out[y, x, 1] = HALF * (image[y, min(x + 1, width - 1)] - image[y, max(x - 1, 0)])
            out[y, x, 2] = HALF * (below[x] - above[x])
    return out


@compiled
def _linearise(first: Field, target: Field, u: Field, data: Field) -> None:
    """Fills ``data``: Ix, Iy, Ix² + Iy² and the constant part of the residual."""
    height, width = first.shape
    for y in range(height):
        for x in range(width):
            u1, u2 = u[0, y, x], u[1, y, x]
            in_y, in_x = np.float32(y) + u2, np.float32(x) + u1
            if 1 <= in_y < height - 2 and 1 <= in_x < width - 2:
                warped, ix, iy = _sample(target, in_y, in_x)
            else:
                warped, ix, iy = _sample_border(target, in_y, in_x)
            data[0, y, x] = ix
            data[1, y, x] = iy
            data[2, y, x] = ix * ix + iy * iy
            data[3, y, x] = warped - ix * u1 - iy * u2 - first[y, x]


@compiled
def _sample(target: Field, y: Any, x: Any) -> tuple[Any, Any, Any]:
    """The three channels by cubic convolution of 4 x 4 neighbours inside the picture."""
    row, column = np.floor(y), np.floor(x)
    y0, y1, y2, y3 = _cubic(y - row)
    x0, x1, x2, x3 = _cubic(x - column)
    top, left = int(row) - 1, int(column) - 1
    a, b, c = ZERO, ZERO, ZERO
    for j in range(4):
        share = x0 if j == 0 else (x1 if j == 1 else (x2 if j == 2 else x3))
        k = left + j
        p, q, r, s = target[top, k], target[top + 1, k], target[top + 2, k], target[top + 3, k]
        a += share * (y0 * p[0] + y1 * q[0] + y2 * r[0] + y3 * s[0])
        b += share * (y0 * p[1] + y1 * q[1] + y2 * r[1] + y3 * s[1])
        c += share * (y0 * p[2] + y1 * q[2] + y2 * r[2] + y3 * s[2])
    return a, b, c


@compiled
def _sample_border(target: Field, y: Any, x: Any) -> tuple[Any, Any, Any]:
    """As :func:`_sample` anywhere; what lies outside the picture is zero."""
    height, width, _ = target.shape
    a, b, c = ZERO, ZERO, ZERO
    if not (-2 < y < height + 1 and -2 < x < width + 1):
        return a, b, c
    row, column = np.floor(y), np.floor(x)
    in_y, in_x = _cubic(y - row), _cubic(x - column)
    top, left = int(row) - 1, int(column) - 1
    for i in range(max(0, -top), min(4, height - top)):
        for j in range(max(0, -left), min(4, width - left)):
            share = in_y[i] * in_x[j]
            a += share * target[top + i, left + j, 0]
            b += share * target[top + i, left + j, 1]
            c += share * target[top + i, left + j, 2]
    return a, b, c


@compiled
def _cubic(t: Any) -> tuple[Any, Any, Any, Any]:
    """The weights of the four neighbours of a place that lies ``t`` behind the second."""
    s = ONE - t
    first = CUBIC * t * s * s
    second = ((CUBIC + TWO) * t - (CUBIC + THREE)) * t * t + ONE
    third = ((CUBIC + TWO) * s - (CUBIC + THREE)) * s * s + ONE
    return first, second, third, ONE - first - second - third


@compiled
def _iterate(u: Field, dual: Field, data: Field) -> float:
    """One iteration in place; returns the sum of the squared updates."""
    height, width = u.shape[1], u.shape[2] - 1
    errors = np.zeros(width, np.float32)
    for y in range(height):
        _primal_row(u, dual, data, y, errors)
        if y:  # only now: this row's primal step still needed the old p above it
            _dual_row(u, dual, y - 1, y)
    _dual_row(u, dual, height - 1, height - 1)
    total = 0.0
    for x in range(width):
        total += errors[x]
    return total


@compiled
def _primal_row(u: Field, dual: Field, data: Field, y: int, errors: Field) -> None:
    u1, u2, width = u[0, y], u[1, y], len(errors)
    ix, iy, square, constant = data[0, y], data[1, y], data[2, y], data[3, y]
    # y + 1 and x + 1: the first row and column of p are a border of zeros.
    p11, p12, p21, p22 = dual[0, y + 1], dual[1, y + 1], dual[2, y + 1], dual[3, y + 1]
    above12, above22 = dual[1, y], dual[3, y]
    for x in range(width):
        a, b, g = u1[x], u2[x], square[x]
        residual = constant[x] + (ix[x] * a + iy[x] * b)
        bound = DATA_STEP * g
        share = -residual / g if g > FLAT else ZERO
        share = -DATA_STEP if residual > bound else share
        share = DATA_STEP if residual < -bound else share
        div1 = (p11[x + 1] - p11[x]) + (p12[x + 1] - above12[x + 1])
        div2 = (p21[x + 1] - p21[x]) + (p22[x + 1] - above22[x + 1])
        new1 = (a + share * ix[x]) + THETA * div1
        new2 = (b + share * iy[x]) + THETA * div2
        errors[x] += (new1 - a) * (new1 - a) + (new2 - b) * (new2 - b)
        u1[x] = new1
        u2[x] = new2
    u1[width] = u1[width - 1]
    u2[width] = u2[width - 1]


@compiled
def _dual_row(u: Field, dual: Field, y: int, below: int) -> None:
    width = u.shape[2] - 1
    for k in range(2):
        here, next_row, px, py = u[k, y], u[k, below], dual[2 * k, y + 1], dual[2 * k + 1, y + 1]
        for x in range(width):
            dx = here[x + 1] - here[x]
            dy = next_row[x] - here[x]
            norm = ONE + TAU_OVER_THETA * np.sqrt(dx * dx + dy * dy)
            px[x + 1] = (px[x + 1] + TAU_OVER_THETA * dx) / norm
            py[x + 1] = (py[x + 1] + TAU_OVER_THETA * dy) / norm
