"""Dual TV-L1 on a GPU: every launch that a batch of pairs takes, as one CUDA graph for each shape.

The number of launches is fixed, nothing is read back and nothing but the pictures is sent: what a
pair does is decided by the kernels themselves (:mod:`extract.ops.motion.tvl1.kernels`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from itertools import pairwise

import numpy as np
import torch
import triton

from extract.ops.motion.tvl1 import options as model
from extract.ops.motion.tvl1.kernels import RECORD, iterate
from extract.ops.motion.tvl1.median_kernel import median
from extract.ops.motion.tvl1.options import Tvl1Options
from extract.ops.motion.tvl1.picture_kernels import begin, finish, linearise, shrink
from extract.ops.motion.tvl1.resize import Size, Taps, down, level_sizes, up
from extract.ops.network.cuda_graph import captured
from extract.ops.network.device import kept_on_device

TILE = 64  # side of what a program of `iterate` holds
HALO = 6  # iterations to a launch; divides OpenCV's 30
BLOCK = 256  # pixels of one program, of all kernels but `iterate`
WARPS = 16  # of a program of `iterate`: TILE² / (32 * WARPS) pixels to a thread
PAIRS_AT_ONCE = 512
SHARE_OF_FREE_MEMORY = 0.25  # that all plans may take
KEPT_PLANS = 32  # with their graphs and memory: pictures of one batch have the sizes of many videos

_Shape = tuple[Size, Tvl1Options, torch.device, int]
_plans: OrderedDict[tuple[_Shape, int], _Plan] = (
    OrderedDict()
)  # by shape and pairs wanted, the last used at the end
_lock = threading.Lock()


def solve(
    first: torch.Tensor, second: torch.Tensor, options: Tvl1Options
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Flow (n, 2, height, width) of pictures (n, height, width), uint8 or float32 in [0, 1], and iterations.

    Those are int64 (n,) for each scale, coarsest first. As many pairs go at once as a quarter of the free
    memory holds, at most PAIRS_AT_ONCE; a pair's flow does not depend on how many.
    """
    count, height, width = first.shape
    flow = torch.empty((count, 2, height, width), device=first.device)
    levels = len(level_sizes(first.shape[1:], options))
    iterations = torch.empty((levels, count), dtype=torch.int64, device=first.device)
    with _lock:
        plan = _plan(count, (height, width), options, first.device)
        for start in range(0, count, plan.pairs):
            part = slice(start, start + plan.pairs)
            plan(first[part], second[part], flow[part], iterations[:, part])
    return flow, list(iterations)


@kept_on_device
def forget_plans() -> None:
    """Free the memory and the graphs of all plans."""
    with _lock:
        _plans.clear()


def bytes_for_a_pair(size: Size, options: Tvl1Options) -> int:
    """On the device, without the pictures that come and the flow that goes."""
    height, width = size
    # State, flow and data of the finest scale, and the pictures of all.
    fields = (2 * 6 + 2 + 3) * height * width
    pictures = 2 * sum(h * w for h, w in level_sizes(size, options))
    return 4 * (fields + pictures + 2 * HALO * _tiles(size))


def pairs_that_fit(wanted: int, size: Size, options: Tvl1Options, free_bytes: float) -> int:
    """A power of two, so that there are few shapes: no less than ``wanted`` where that fits; at least 1."""
    pairs = _power_of_two(min(wanted, PAIRS_AT_ONCE))
    while pairs > 1 and pairs * bytes_for_a_pair(size, options) > SHARE_OF_FREE_MEMORY * free_bytes:
        pairs //= 2
    return pairs


def _plan(wanted: int, size: Size, options: Tvl1Options, device: torch.device) -> _Plan:
    """A plan for ``wanted`` pairs or as many as there is memory for; its work belongs to one stream."""
    stream = torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else 0
    shape = (size, options, device, stream)
    wanted = _power_of_two(min(wanted, PAIRS_AT_ONCE))
    large_enough = [key for key in _plans if key[0] == shape and key[1] >= wanted]
    key = min(large_enough, key=lambda key: key[1], default=(shape, wanted))
    if key not in _plans:
        held = sum(plan.bytes for plan in _plans.values())
        free = _free_bytes(device) + held
        pairs = pairs_that_fit(wanted, size, options, free)
        most = SHARE_OF_FREE_MEMORY * free - pairs * bytes_for_a_pair(size, options)
        while _plans and (len(_plans) >= KEPT_PLANS or held > most):
            held -= _plans.popitem(last=False)[1].bytes
        try:
            with torch.inference_mode(False):  # tensors made in it could not be used outside of it
                _plans[key] = _Plan(pairs, size, options, device)
        except torch.OutOfMemoryError:
            _plans.clear()
            raise
    _plans.move_to_end(key)
    return _plans[key]


def _free_bytes(device: torch.device) -> float:
    if device.type != "cuda":
        return float("inf")
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def _tiles(size: Size) -> int:
    across, down = (triton.cdiv(side, TILE - 2 * HALO) for side in reversed(size))
    return int(across * down)


class _Plan:
    """Memory and launches of up to ``pairs`` pairs of one size; for the layouts see the kernels."""

    def __init__(self, pairs: int, size: Size, options: Tvl1Options, device: torch.device) -> None:
        self.pairs = pairs
        self.bytes = pairs * bytes_for_a_pair(size, options)
        self.options = options
        self.sizes = level_sizes(size, options)
        area = size[0] * size[1]

        def floats(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, device=device)

        def whole(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, dtype=torch.int32, device=device)

        self.pictures = [floats(2, pairs, *level) for level in self.sizes]
        # What follows is as large as the finest scale needs it; a coarser one uses the beginning.
        self.state = floats(pairs * 12 * area)
        self.flow = floats(pairs, 2, *size)
        self.data = floats(pairs * 3 * area)
        self.errors = [floats(pairs * _tiles(size) * HALO) for _ in range(2)]
        self.records = [whole(pairs, RECORD.value) for _ in range(2)]
        self.iterations = whole(len(self.sizes), pairs)
        self.live = whole(1)
        self.turn = 0
        self.shrinking = [_on_device(down(*two, options), device) for two in pairwise(self.sizes)]
        coarse_to_fine = [self.sizes[-1], *reversed(self.sizes)]
        self.growing = [_on_device(up(*two), device) for two in pairwise(coarse_to_fine)]
        self.run = captured(self._launch_all, device)

    def __call__(
        self, first: torch.Tensor, second: torch.Tensor, flow: torch.Tensor, iterations: torch.Tensor
    ) -> None:
        """Fills ``flow`` (n, 2, height, width) and ``iterations`` (scales, n) of at most ``pairs`` pairs."""
        count = len(first)
        for images, mine in zip((first, second), self.pictures[0], strict=True):
            if images.dtype == torch.uint8:
                mine[:count].copy_(images)
            else:
                torch.mul(images, 255, out=mine[:count])
        self.live.fill_(count)
        self.run()
        flow.copy_(self.flow[:count])
        iterations.copy_(self.iterations[:, :count])

    def _launch_all(self) -> None:
        for source, target, taps in zip(self.pictures, self.pictures[1:], self.shrinking, strict=False):
            height, width = target.shape[2:]
            shrink[(_blocks(height * width), 2 * self.pairs)](
                source, target, *taps, *source.shape[2:], height, width, BLOCK=BLOCK
            )
        self.flow.zero_()
        before = self.sizes[-1]
        for scale, size in enumerate(reversed(self.sizes)):
            self._begin(before, size, self.growing[scale])
            for _ in range(self.options.warps):
                self._warp(size, self.pictures[-1 - scale])
            finish[(_blocks(size[0] * size[1]), self.pairs)](
                self.state, self.flow, self.records[self.turn], self.iterations[scale], *size, BLOCK=BLOCK
            )
            before = size

    def _begin(self, before: Size, size: Size, taps: tuple[torch.Tensor, torch.Tensor]) -> None:
        factor = 1.0 if before == size else 1 / self.options.scale_step
        begin[(_blocks(size[0] * size[1]), self.pairs)](
            self.flow, self.state, *taps, self.live, self._turn()[1], *before, *size, factor, BLOCK=BLOCK
        )

    def _warp(self, size: Size, pictures: torch.Tensor) -> None:
        first, second = pictures
        linearise[(_blocks(size[0] * size[1]), self.pairs)](
            first, second, self.state, self.data, self.live, *self._turn(), *size,
            CUBIC=model.CUBIC, BLOCK=BLOCK,
        )  # fmt: skip
        inner = self.options.inner_iterations
        for _ in range(self.options.outer_iterations):
            if self.options.median:
                self._median(size)
            for start in range(0, inner, HALO):
                from_median = self.options.median and start == 0
                self._iterate(size, min(HALO, inner - start), int(from_median))
        self._iterate(size, 0, 0)

    def _median(self, size: Size) -> None:
        records = self._turn()
        median[(_blocks(size[0] * size[1]), 2, self.pairs)](
            self.state, self.flow, self.errors[1 - self.turn], *records,
            *size, _tiles(size), self._limit(size), BLOCK=BLOCK, **_judging(size),
        )  # fmt: skip

    def _iterate(self, size: Size, count: int, smoothed: int) -> None:
        height, width = size
        useful = TILE - 2 * HALO
        records = self._turn()
        iterate[(triton.cdiv(width, useful), triton.cdiv(height, useful), self.pairs)](
            self.state, self.flow, self.data, self.errors[1 - self.turn], self.errors[self.turn], *records,
            height, width, self._limit(size), count, smoothed,
            DATA_STEP=model.DATA_STEP, THETA=model.THETA, DUAL_STEP=model.DUAL_STEP, FLAT=model.FLAT,
            TILE=TILE, **_judging(size), num_warps=WARPS,
        )  # fmt: skip

    def _turn(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The records before the next launch and those that it writes; errors change places with them."""
        self.turn = 1 - self.turn
        return self.records[1 - self.turn], self.records[self.turn]

    def _limit(self, size: Size) -> float:
        return self.options.epsilon**2 * size[0] * size[1]


def _power_of_two(number: int) -> int:
    return int(triton.next_power_of_2(number))


def _blocks(pixels: int) -> int:
    return int(triton.cdiv(pixels, BLOCK))


def _judging(size: Size) -> dict[str, int]:
    return {
        "HALO": HALO,
        "TILES": _power_of_two(_tiles(size)),
        "STEPS": _power_of_two(HALO),
    }


def _on_device(axes: tuple[Taps, Taps], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """``near`` int32 and ``share`` float32 of the rows, then of the columns."""
    near = np.concatenate([axis.near for axis in axes]).astype(np.int32)
    share = np.concatenate([axis.share for axis in axes])
    return torch.from_numpy(near).to(device), torch.from_numpy(share).to(device)
