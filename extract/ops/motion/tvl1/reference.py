"""One scale of dual TV-L1 in plain torch operations, for any device: what the kernels are held to.

Pictures are (n, height, width) float32 in grey levels, flows (n, height, width) in pixels. A pair
that has converged keeps its state while others go on, so its flow does not depend on them.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from extract.ops.motion.tvl1.options import DATA_STEP, DUAL_STEP, FLAT, MEDIAN_SIDE, THETA, Tvl1Options

Fields = tuple[torch.Tensor, torch.Tensor]


def solve_scale(
    first: torch.Tensor, second: torch.Tensor, flow: torch.Tensor, options: Tvl1Options
) -> torch.Tensor:
    """Improves ``flow`` (n, 2, height, width) in place; pictures are (n, height, width).

    Returns each pair's number of iterations, (n,) int64.
    """
    iterations = torch.zeros(len(first), dtype=torch.int64, device=first.device)
    u = (flow[:, 0].clone(), flow[:, 1].clone())
    dual = tuple(torch.zeros_like(first) for _ in range(4))
    target = torch.stack([second, *central_differences(second)], dim=1)
    for _ in range(options.warps):
        data = linearise(first, target, u)
        u, dual = _iterate(u, dual, data, options, iterations)
    flow[:, 0], flow[:, 1] = u
    return iterations


def linearise(first: torch.Tensor, target: torch.Tensor, u: Fields) -> tuple[torch.Tensor, ...]:
    """Ix, Iy, Ix² + Iy² and the constant part of the residual, of the second picture warped by ``u``."""
    warped, ix, iy = warp(target, u).unbind(1)
    return ix, iy, ix * ix + iy * iy, warped - ix * u[0] - iy * u[1] - first


def _iterate(
    u: Fields,
    dual: tuple[torch.Tensor, ...],
    data: tuple[torch.Tensor, ...],
    options: Tvl1Options,
    iterations: torch.Tensor,
) -> tuple[Fields, tuple[torch.Tensor, ...]]:
    limit = options.epsilon**2 * u[0][0].numel()
    active = torch.ones(len(u[0]), dtype=torch.bool, device=u[0].device)
    for _ in range(options.outer_iterations):
        if not active.any():
            break
        if options.median:
            u = (_keep(active, median(u[0]), u[0]), _keep(active, median(u[1]), u[1]))
        for _ in range(options.inner_iterations):
            iterations += active
            new = primal(u, dual, data)
            squares = (new[0] - u[0]) ** 2 + (new[1] - u[1]) ** 2
            moved = dual_ascent(new, dual)
            dual = tuple(_keep(active, p, q) for p, q in zip(moved, dual, strict=True))
            u = (_keep(active, new[0], u[0]), _keep(active, new[1], u[1]))
            # In two steps: one sum over a whole picture is split by the number of threads.
            active = active & (squares.sum(-1).sum(-1) > limit)
            if not active.any():
                break
    return u, dual


def _keep(active: torch.Tensor, new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    return torch.where(active[:, None, None], new, old)


def primal(u: Fields, dual: tuple[torch.Tensor, ...], data: tuple[torch.Tensor, ...]) -> Fields:
    """Thresholding of the residual, then u = v + theta div p (Zach et al. 2007, eq. 14 and 15)."""
    ix, iy, square, constant = data
    residual = constant + (ix * u[0] + iy * u[1])
    bound = DATA_STEP * square
    share = torch.where(square > FLAT, -residual / square, 0.0)
    share = torch.where(residual > bound, -DATA_STEP, share)
    share = torch.where(residual < -bound, DATA_STEP, share)
    return (
        (u[0] + share * ix) + THETA * divergence(dual[0], dual[1]),
        (u[1] + share * iy) + THETA * divergence(dual[2], dual[3]),
    )


def dual_ascent(u: Fields, dual: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """For both components of u: p = (p + tau/theta grad u) / (1 + tau/theta abs(grad u))."""
    out = []
    for field, px, py in ((u[0], dual[0], dual[1]), (u[1], dual[2], dual[3])):
        dx = functional.pad(field[:, :, 1:] - field[:, :, :-1], (0, 1))
        dy = functional.pad(field[:, 1:] - field[:, :-1], (0, 0, 0, 1))
        norm = 1 + DUAL_STEP * torch.sqrt(dx * dx + dy * dy)
        out += [(px + DUAL_STEP * dx) / norm, (py + DUAL_STEP * dy) / norm]
    return tuple(out)


def divergence(px: torch.Tensor, py: torch.Tensor) -> torch.Tensor:
    """Backward differences, zero outside: the adjoint of the forward gradient."""
    return (px - functional.pad(px[:, :, :-1], (1, 0))) + (py - functional.pad(py[:, :-1], (0, 0, 1, 0)))


def central_differences(images: torch.Tensor) -> Fields:
    """Along x and y, (n, h, w); borders repeat, so they have half the one-sided difference."""
    padded = functional.pad(images[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    along_x = 0.5 * (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2])
    along_y = 0.5 * (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1])
    return along_x, along_y


def median(field: torch.Tensor) -> torch.Tensor:
    """5x5, borders repeated; (n, h, w)."""
    height, width = field.shape[1:]
    reach = MEDIAN_SIDE // 2
    padded = functional.pad(field[:, None], (reach,) * 4, mode="replicate")[:, 0]
    shifted = [
        padded[:, y : y + height, x : x + width] for y in range(MEDIAN_SIDE) for x in range(MEDIAN_SIDE)
    ]
    return torch.stack(shifted).median(dim=0).values


def warp(target: torch.Tensor, u: Fields) -> torch.Tensor:
    """Cubic samples of ``target`` (n, c, h, w) at x + u, zero outside; a = -0.75 (CUBIC)."""
    height, width = target.shape[2:]
    device = target.device
    x = torch.arange(width, device=device, dtype=torch.float32) + u[0]
    y = torch.arange(height, device=device, dtype=torch.float32)[:, None] + u[1]
    grid = torch.stack([x * (2 / (width - 1)) - 1, y * (2 / (height - 1)) - 1], dim=-1)
    return functional.grid_sample(target, grid, mode="bicubic", padding_mode="zeros", align_corners=True)
