"""The image pyramid: linear resizing of float32 pictures as ``cv2.resize`` does it, on any device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from extract.ops.motion.tvl1.options import SMALLEST_SIDE, Tvl1Options

Size = tuple[int, int]


def level_sizes(size: Sequence[int], options: Tvl1Options) -> list[Size]:
    """(height, width) of the pyramid's pictures, finest first."""
    height, width = size
    sizes = [(height, width)]
    while len(sizes) < options.scales:
        height, width = round(height * options.scale_step), round(width * options.scale_step)
        if min(height, width) < SMALLEST_SIDE:
            break
        sizes.append((height, width))
    return sizes


def pyramid(images: torch.Tensor, options: Tvl1Options) -> list[torch.Tensor]:
    """``images`` (n, height, width) and its smaller copies, finest first."""
    levels = [images]
    for before, size in pairwise(level_sizes(images.shape[1:], options)):
        levels.append(_resize(levels[-1], down(before, size, options)))
    return levels


def resize_to(images: torch.Tensor, height: int, width: int, *, factor: float) -> torch.Tensor:
    """(n, h, w) to (n, height, width), by the ratio of the sizes; values times ``factor``."""
    rows, columns = images.shape[1:]
    return _resize(images, up((rows, columns), (height, width)), factor)


@dataclass(frozen=True)
class Taps:
    """What each output along an axis is made of: ``near``, its next one and that one's ``share``; (size,)."""

    near: NDArray[np.int64]
    following: NDArray[np.int64]
    share: NDArray[np.float32]


def down(before: Size, size: Size, options: Tvl1Options) -> tuple[Taps, Taps]:
    """Of a level from the one before it, along y and x: by the wanted scale, not by the rounded sizes."""
    ratio = 1 / options.scale_step
    return taps(before[0], size[0], ratio), taps(before[1], size[1], ratio)


def up(before: Size, size: Size) -> tuple[Taps, Taps]:
    """Of a flow from that of the scale before it, along y and x: by the ratio of the sizes."""
    return taps(before[0], size[0], before[0] / size[0]), taps(before[1], size[1], before[1] / size[1])


def taps(length: int, size: int, ratio: float) -> Taps:
    places = ((np.arange(size) + 0.5) * ratio - 0.5).astype(np.float32)
    near = np.floor(places).astype(np.int64)
    share = np.where((near < 0) | (near >= length - 1), 0, places - near).astype(np.float32)
    near = near.clip(0, length - 1)
    return Taps(near, np.minimum(near + 1, length - 1), share)


def _resize(images: torch.Tensor, axes: tuple[Taps, Taps], factor: float = 1.0) -> torch.Tensor:
    # NumPy on a CPU: torch would wake a second team of threads, which then spins beside the solver's.
    on_cpu = images.device.type == "cpu"
    values: Any = images.numpy() if on_cpu else images
    for axis in (2, 1):  # along the rows first
        along = axes[axis - 1]
        parts: Any = (along.near, along.following, along.share[:, None] if axis == 1 else along.share)
        if on_cpu:
            near, following, share = parts
            values = np.take(values, near, axis) * (1 - share) + np.take(values, following, axis) * share
        else:
            near, following, share = (torch.from_numpy(part).to(images.device) for part in parts)
            first, second = values.index_select(axis, near), values.index_select(axis, following)
            values = first * (1 - share) + second * share
    values *= factor
    return torch.from_numpy(values) if on_cpu else values
