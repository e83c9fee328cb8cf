"""One scale of dual TV-L1 on a GPU: launches of :mod:`extract.ops.motion.tvl1.kernels` for a whole batch.

The number of launches is fixed and nothing is read back: pairs that have converged are skipped by
the kernels themselves. Warping uses the reference's torch operations.
"""

from __future__ import annotations

import torch
import triton

from extract.ops.motion.tvl1 import options as model
from extract.ops.motion.tvl1.kernels import ACTIVE, HALO, TILE, accept, decide, iterate, median
from extract.ops.motion.tvl1.options import Tvl1Options
from extract.ops.motion.tvl1.reference import central_differences, linearise

MEDIAN_BLOCK = 256  # pixels of one program
WARPS = 16  # of a program of `iterate`: TILE² / (32 * WARPS) pixels to a thread


def solve_scale(
    first: torch.Tensor, second: torch.Tensor, flow: torch.Tensor, options: Tvl1Options
) -> torch.Tensor:
    """As :func:`extract.ops.motion.tvl1.reference.solve_scale`."""
    pairs, height, width = first.shape
    scale = _Scale(pairs, height, width, first.device, options)
    scale.state[0, :, :2] = flow
    target = torch.stack([second, *central_differences(second)], dim=1)
    for _ in range(options.warps):
        u1, u2 = scale.flow().unbind(1)
        scale.solve(torch.stack(linearise(first, target, (u1, u2)), dim=1))
    flow[:] = scale.flow()
    return scale.control[:, 3].long()


class _Scale:
    """The state of all pairs at one scale; see the kernels for the layouts."""

    def __init__(
        self, pairs: int, height: int, width: int, device: torch.device, options: Tvl1Options
    ) -> None:
        useful = TILE - 2 * HALO
        self.options = options
        self.size = (pairs, height, width)
        self.grid = (triton.cdiv(width, useful), triton.cdiv(height, useful), pairs)
        self.tiles = self.grid[0] * self.grid[1]
        self.state = torch.zeros((2, pairs, 6, height, width), device=device)
        self.smooth = torch.empty((pairs, 2, height, width), device=device)
        self.errors = torch.zeros((pairs, self.tiles, HALO), device=device)
        self.control = torch.zeros((pairs, 4), dtype=torch.int32, device=device)

    def flow(self) -> torch.Tensor:
        """(pairs, 2, height, width) of each pair's current buffer."""
        buffer = self.control[:, 1].view(-1, 1, 1, 1)
        return torch.where(buffer == 0, self.state[0, :, :2], self.state[1, :, :2])

    def solve(self, data: torch.Tensor) -> None:
        """The iterations of one warp."""
        self.control[:, 0] = ACTIVE
        inner = self.options.inner_iterations
        for _ in range(self.options.outer_iterations):
            if self.options.median:
                self._smooth()
            for start in range(0, inner, HALO):
                self._launch(data, min(HALO, inner - start))
        self._launch(data, HALO, only_repeat=True)

    def _smooth(self) -> None:
        pairs, height, width = self.size
        grid = (triton.cdiv(height * width, MEDIAN_BLOCK), 2, pairs)
        for kernel in (median, accept):
            kernel[grid](self.state, self.smooth, self.control, pairs, height, width, BLOCK=MEDIAN_BLOCK)

    def _launch(self, data: torch.Tensor, count: int, *, only_repeat: bool = False) -> None:
        pairs, height, width = self.size
        if only_repeat:
            self.control[:, 0] = torch.where(self.control[:, 0] == ACTIVE, 0, self.control[:, 0])
        iterate[self.grid](
            self.state, data, self.errors, self.control, pairs, height, width, count,
            DATA_STEP=model.DATA_STEP, THETA=model.THETA, DUAL_STEP=model.DUAL_STEP, FLAT=model.FLAT,
            TILE=TILE, HALO=HALO, num_warps=WARPS,
        )  # fmt: skip
        decide[(pairs,)](
            self.errors, self.control, self.tiles, self.options.epsilon**2 * height * width, count,
            TILES=triton.next_power_of_2(self.tiles), STEPS=triton.next_power_of_2(HALO), HALO=HALO,
        )  # fmt: skip
