"""Motion content ("visual disturbance") of Rasheed, Sheikh and Shah 2005, in one pass.

"On the use of computable features for film classification", IEEE TCSVT 15(1). A line of pixels
followed over time is a slice with one axis in space (x) and one in time (t). In it a still scene
has edges along t, a camera movement edges of one other direction, independently moving things
many directions. The direction is read from the structure tensor J of the slice's gradients H:

    J = w * [[Hx Hx, Hx Ht], [Hx Ht, Ht Ht]],  theta = 0.5 atan2(2 Jxt, Jxx - Jtt) in (-90, 90]

Of each slice at each time the directions go into a 7-bin histogram; its largest bin is taken for
the still or moving background, and the pixels of all other bins are active.

Directions are in pixels a frame: give all films at one size.

The paper leaves open, and we choose: four rows and four columns, evenly spaced; central
differences; w = binomial [1 4 6 4 1] / 16 in space and time; pixels without a measurable
gradient (Jxx + Jtt < 1 squared grey level) count as still.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LINES = 4  # rows, and as many columns
BINS = 7
WEIGHTS = (0.0625, 0.25, 0.375, 0.25, 0.0625)
RADIUS = 1 + len(WEIGHTS) // 2  # frames on either side that a value depends on
FLAT_ENERGY = 1.0


class MotionContent:
    """Takes frames in order and gives the share of active pixels for each, RADIUS frames later.

    The first and the last RADIUS frames of a video have no value. Memory: 2 RADIUS frames' slices.
    """

    def __init__(self) -> None:
        self._rows: NDArray[np.float32] | None = None
        self._columns: NDArray[np.float32] | None = None
        self._seen = 0

    def push(self, frames: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Frames (n, height, width) grey; returns places (m,) counted from 0 and shares (m,)."""
        _, height, width = frames.shape
        rows = frames[:, _places(height), :].astype(np.float32)
        columns = frames[:, :, _places(width)].transpose(0, 2, 1).astype(np.float32)
        if self._rows is not None and self._columns is not None:
            rows = np.concatenate([self._rows, rows])
            columns = np.concatenate([self._columns, columns])
        self._rows, self._columns = rows[-2 * RADIUS :], columns[-2 * RADIUS :]
        self._seen += len(frames)
        count = max(0, len(rows) - 2 * RADIUS)
        if not count:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        active = active_pixels(rows) + active_pixels(columns)
        places = np.arange(self._seen - RADIUS - count, self._seen - RADIUS)
        return places, (active / (LINES * (height + width))).astype(np.float32)


def _places(length: int) -> NDArray[np.int64]:
    """The middles of LINES equal parts of an axis."""
    return ((np.arange(LINES) + 0.5) * length / LINES).astype(np.int64)


def active_pixels(slices: NDArray[np.float32]) -> NDArray[np.int64]:
    """Pixels outside the main direction: slices (time, lines, x) to (time - 2 RADIUS,)."""
    theta = orientation(slices)
    bins = np.minimum(((theta + np.pi / 2) * (BINS / np.pi)).astype(np.int64), BINS - 1)
    bins[theta <= -np.pi / 2] = BINS - 1  # -90 degrees is 90 degrees
    histogram = np.stack([(bins == b).sum(axis=2) for b in range(BINS)])
    active: NDArray[np.int64] = (bins.shape[2] - histogram.max(axis=0)).sum(axis=1)
    return active


def orientation(slices: NDArray[np.float32]) -> NDArray[np.float32]:
    """Theta in radians, (time - 2 RADIUS, lines, x), of slices (time, lines, x); 0 is still."""
    in_time = (slices[2:] - slices[:-2]) * np.float32(0.5)
    in_space = np.zeros_like(in_time)
    if slices.shape[2] > 1:
        in_space[:] = np.gradient(slices[1:-1], axis=2)
    xx, xt, tt = (_smooth(p) for p in (in_space * in_space, in_space * in_time, in_time * in_time))
    theta: NDArray[np.float32] = 0.5 * np.arctan2(2 * xt, xx - tt)
    theta[xx + tt < FLAT_ENERGY] = 0
    return theta


def _smooth(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Binomial over time (valid part only) and space (edge values repeated)."""
    reach = len(WEIGHTS) // 2
    time, length = len(values) - 2 * reach, values.shape[2]
    over_time = np.zeros_like(values[:time])
    for i, weight in enumerate(WEIGHTS):
        over_time += weight * values[i : i + time]
    padded = np.pad(over_time, ((0, 0), (0, 0), (reach, reach)), mode="edge")
    smooth = np.zeros_like(over_time)
    for i, weight in enumerate(WEIGHTS):
        smooth += weight * padded[:, :, i : i + length]
    return smooth
