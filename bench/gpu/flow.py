"""TV-L1 on the device: pairs a second, launches, host against device time, and its error against OpenCV."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.profiler import ProfilerActivity, profile

from bench.gpu.measuring import Gauge, Measurement
from bench.tvl1 import HEIGHT, WIDTH, endpoint_errors, moving_texture, opencv_flow
from extract.ops.motion.tvl1 import tvl1

PROFILED_PAIRS = 64
HEAVY_FRAMES = 17  # of a texture that moves; longer sequences begin again
CHECKED_SIZES = ((HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (200, 128))  # height, width
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch")
COPIES = ("cudaMemcpyAsync", "cudaMemcpy")


def flow(gauge: Gauge) -> None:
    """Still pairs converge at once, heavy ones use their budget of iterations."""
    kinds = {"still": partial(pairs, moving=False), "heavy": partial(pairs, moving=True)}
    for kind, make in kinds.items():
        for batch in gauge.sizes.flow_batches:
            what = {"pairs": kind, "size": f"{WIDTH}x{HEIGHT}", "batch": batch}
            gauge.measure(what, partial(_timed, gauge, make, batch))
    for height, width in CHECKED_SIZES:
        what = {"pairs": "heavy", "size": f"{width}x{height}", "batch": gauge.sizes.flow_checked}
        gauge.measure(what, partial(_checked, gauge, height, width))
    for kind, make in kinds.items():
        what = {"pairs": kind, "size": f"{WIDTH}x{HEIGHT}", "batch": PROFILED_PAIRS}
        gauge.measure(what, partial(_profiled, gauge, make), needs_gpu=True)


def pairs(count: int, *, moving: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(count, height, width) twice: neighbours of a texture that moves, or each picture and itself."""
    frames = moving_texture(HEAVY_FRAMES)
    places = np.arange(count) % (HEAVY_FRAMES - 1)
    return frames[places], frames[places + moving]


Pairs = Callable[[int], tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def _on_device(gauge: Gauge, make: Pairs, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = make(count)
    return torch.from_numpy(first).to(gauge.device), torch.from_numpy(second).to(gauge.device)


def _timed(gauge: Gauge, make: Pairs, batch: int) -> Measurement:
    """``host ms`` is until the last launch is queued, without waiting for the device."""
    first, second = _on_device(gauge, make, batch)
    seconds = gauge.seconds(lambda: tvl1(first, second))
    began = time.perf_counter()
    tvl1(first, second)
    queued = time.perf_counter() - began
    gauge.synchronise()
    return {"pairs/s": batch / seconds, "ms": 1000 * seconds, "host ms": 1000 * queued}


def _checked(gauge: Gauge, height: int, width: int) -> Measurement:
    """End-point errors in pixels; OpenCV's object is a new one for each pair."""
    cv2.setNumThreads(1)
    first, second = (images[:, :height, :width] for images in pairs(gauge.sizes.flow_checked, moving=True))
    opencv = np.stack([opencv_flow(a.copy(), b.copy()) for a, b in zip(first, second, strict=True)])
    mine = tvl1(*(torch.from_numpy(images.copy()).to(gauge.device) for images in (first, second)))
    errors = endpoint_errors(mine.cpu().numpy(), opencv)
    return {"mean error px": float(errors.mean()), "worst pair px": float(errors.mean(axis=(1, 2)).max())}


def _profiled(gauge: Gauge, make: Pairs) -> Measurement:
    first, second = _on_device(gauge, make, PROFILED_PAIRS)
    tvl1(first, second)
    gauge.synchronise()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        tvl1(first, second)
        gauge.synchronise()
    events = profiler.key_averages()
    return {
        "launches": sum(event.count for event in events if event.key.startswith(LAUNCHES)),
        "copies": sum(event.count for event in events if event.key in COPIES),
        "device ms": sum(e.self_device_time_total for e in events if e.device_type.name == "CUDA") / 1000,
    }
