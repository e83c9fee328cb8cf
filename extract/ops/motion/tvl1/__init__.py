"""Dual TV-L1 optical flow with the behaviour of OpenCV's ``DualTVL1OpticalFlow``, in batches.

On CUDA all of it is kernels (Triton). Elsewhere one driver makes the pyramid and goes from coarse to
fine; what happens at a scale is done by a solver: compiled loops on the CPU (Numba) or plain torch
operations, which are the reference and run anywhere. See ``docs/tvl1.md``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from extract.errors import MissingDependency, to_install
from extract.ops.motion.tvl1.options import VARIANTS, Tvl1Options, Variant

if TYPE_CHECKING:
    import torch

    SolveScale = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Tvl1Options], torch.Tensor]

Backend = Literal["auto", "reference", "numba", "triton"]
AUTO: dict[str, Backend] = {"cpu": "numba", "cuda": "triton"}

__all__ = ["VARIANTS", "Backend", "Scale", "Tvl1Options", "Variant", "check_backend", "tvl1", "tvl1_scales"]


@dataclass(frozen=True)
class Scale:
    """What was done at one scale of the pyramid; ``iterations`` of each pair, (batch,) int64."""

    height: int
    width: int
    iterations: torch.Tensor


def tvl1(
    first: torch.Tensor,
    second: torch.Tensor,
    *,
    options: Tvl1Options | None = None,
    backend: Backend = "auto",
) -> torch.Tensor:
    """Flow from each picture of ``first`` to its partner in ``second``, on their device.

    Pictures are (batch, height, width) grey, uint8 or float32 in [0, 1], as OpenCV takes them.
    Returns float32 (batch, 2, height, width): x and y in pixels, so that ``second`` at ``x + flow``
    looks like ``first``. A pair's flow does not depend on the batch; on a CPU not in a single bit.

    ``backend``: "auto" takes Triton on CUDA and Numba on a CPU. The reference in torch operations, which
    runs anywhere, is many times slower: it has to be asked for.

    Raises:
        ValueError: for pictures of another shape, type or device, or a backend of another device.
        MissingDependency: "auto" where the device's own backend is not installed.
    """
    return tvl1_scales(first, second, options=options, backend=backend)[0]


def tvl1_scales(
    first: torch.Tensor,
    second: torch.Tensor,
    *,
    options: Tvl1Options | None = None,
    backend: Backend = "auto",
) -> tuple[torch.Tensor, list[Scale]]:
    """As :func:`tvl1`, with what was done at each scale, coarsest first."""
    import torch

    from extract.ops.motion.tvl1.resize import level_sizes, pyramid, resize_to

    _check(first, second)
    options = options or VARIANTS["default"]
    backend = _backend(backend, first.device.type)
    if not len(first):
        return torch.zeros((0, 2, *first.shape[1:]), device=first.device), []
    if backend == "triton":
        from extract.ops.motion.tvl1.cuda import solve as solve_on_gpu

        with torch.no_grad():
            flow, iterations = solve_on_gpu(first, second, options)
        sizes = reversed(level_sizes(first.shape[1:], options))
        return flow, [Scale(*size, done) for size, done in zip(sizes, iterations, strict=True)]
    solve = _solver(backend)
    scales: list[Scale] = []
    with torch.no_grad():
        levels = [pyramid(_grey_levels(images), options) for images in (first, second)]
        flow = torch.zeros((len(first), 2, *levels[0][-1].shape[1:]), device=first.device)
        for a, b in zip(*(reversed(level) for level in levels), strict=True):
            height, width = a.shape[1:]
            if scales:
                larger = resize_to(flow.flatten(0, 1), height, width, factor=1 / options.scale_step)
                flow = larger.view(-1, 2, height, width)
            scales.append(Scale(height, width, solve(a, b, flow, options)))
    return flow, scales


def _grey_levels(images: torch.Tensor) -> torch.Tensor:
    import torch

    return (images.float() if images.dtype == torch.uint8 else images * 255).contiguous()


def _check(first: torch.Tensor, second: torch.Tensor) -> None:
    import torch

    for images in (first, second):
        if images.ndim != 3 or images.dtype not in (torch.uint8, torch.float32) or min(images.shape[1:]) < 2:
            raise ValueError(
                "pictures are (batch, height, width) grey, uint8 or float32 in [0, 1], sides of 2 or more: "
                f"{tuple(images.shape)} {images.dtype} came"
            )
    if first.shape != second.shape or first.dtype != second.dtype or first.device != second.device:
        raise ValueError(
            "both pictures of a pair have one shape, type and device: "
            f"{tuple(first.shape)} {first.dtype} {first.device} and "
            f"{tuple(second.shape)} {second.dtype} {second.device} came"
        )


def check_backend(device: str) -> None:
    """Raises MissingDependency where what "auto" takes on this device ("cuda:0") is not installed."""
    kind = device.partition(":")[0]
    backend = AUTO.get(kind)
    if backend is not None and importlib.util.find_spec(backend) is None:
        other = ", or take --device cpu" if kind == "cuda" else ""
        raise MissingDependency(
            f"TV-L1 on {device} needs {backend}, not installed here: {to_install('flow')}{other}"
        )


def _backend(backend: Backend, device: str) -> Backend:
    wanted = {name: kind for kind, name in AUTO.items()}
    if backend == "auto":
        check_backend(device)
        backend = AUTO.get(device, "reference")
    if backend not in ("reference", *wanted):
        raise ValueError(f"backend is {backend!r}; allowed: 'auto', 'reference', 'numba', 'triton'")
    if wanted.get(backend, device) != device:
        raise ValueError(f"backend {backend!r} computes on {wanted[backend]}; the pictures are on {device}")
    return backend


def _solver(backend: Backend) -> SolveScale:
    if backend == "numba":
        from extract.ops.motion.tvl1.cpu import solve_scale
    else:
        from extract.ops.motion.tvl1.reference import solve_scale
    return solve_scale
