"""The image pyramid: linear resizing of float32 pictures as ``cv2.resize`` does it, on any device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from extract.ops.motion.tvl1.options import SMALLEST_SIDE, Tvl1Options


def pyramid(images: torch.Tensor, options: Tvl1Options) -> list[torch.Tensor]:
    """``images`` (n, height, width) and its smaller copies, finest first."""
    levels = [images]
    step = options.scale_step
    while len(levels) < options.scales:
        height, width = (round(side * step) for side in levels[-1].shape[1:])
        if min(height, width) < SMALLEST_SIDE:
            break
        # OpenCV samples by the wanted scale, not by the ratio of the rounded sizes.
        levels.append(_resize(levels[-1], (height, width), (1 / step, 1 / step)))
    return levels


def resize_to(images: torch.Tensor, height: int, width: int, *, factor: float) -> torch.Tensor:
    """(n, h, w) to (n, height, width), by the ratio of the sizes; values times ``factor``."""
    rows, columns = images.shape[1:]
    return _resize(images, (height, width), (rows / height, columns / width), factor)


def _resize(
    images: torch.Tensor, size: tuple[int, int], ratios: tuple[float, float], factor: float = 1.0
) -> torch.Tensor:
    # NumPy on a CPU: torch would wake a second team of threads, which then spins beside the solver's.
    on_cpu = images.device.type == "cpu"
    values: Any = images.numpy() if on_cpu else images
    for axis in (2, 1):  # along the rows first
        taps = _taps(images.shape[axis], size[axis - 1], ratios[axis - 1])
        near, far, share = taps if on_cpu else (torch.from_numpy(t).to(images.device) for t in taps)
        share = share[:, None] if axis == 1 else share
        if on_cpu:
            values = np.take(values, near, axis) * (1 - share) + np.take(values, far, axis) * share
        else:
            values = values.index_select(axis, near) * (1 - share) + values.index_select(axis, far) * share
    values *= factor
    return torch.from_numpy(values) if on_cpu else values


def _taps(
    length: int, size: int, ratio: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Of each output along an axis of ``length``: two neighbours and the share of the second; (size,)."""
    places = ((np.arange(size) + 0.5) * ratio - 0.5).astype(np.float32)
    near = np.floor(places).astype(np.int64)
    weight = np.where((near < 0) | (near >= length - 1), 0, places - near).astype(np.float32)
    near = near.clip(0, length - 1)
    return near, np.minimum(near + 1, length - 1), weight
