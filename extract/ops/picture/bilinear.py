"""Bilinear resizing without antialiasing, as video networks were trained with, and without torch.

It equals ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`` on float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class PlainBilinear:
    """Samples pictures of one size at fixed places.

    Args:
        size: (height, width) of the pictures that come.
        resized: (height, width) of the whole resized picture.
        crop: None, or the side of the middle square that is wanted of it, placed as torchvision's
            ``CenterCrop`` places it.
        steps: source pixels for each resized one, vertically and horizontally; default is
            ``size / resized``. torch takes them from a ``scale_factor`` where one is given, and not
            from the sizes that were rounded to whole pixels.
    """

    def __init__(
        self,
        size: tuple[int, int],
        resized: tuple[int, int],
        *,
        crop: int | None = None,
        steps: tuple[float, float] | None = None,
    ) -> None:
        if crop is not None and min(resized) < crop:
            raise ValueError(f"a crop of {crop} needs a picture at least as large: {resized = }")
        steps = steps or (size[0] / resized[0], size[1] / resized[1])
        (self._top, self._bottom, down), (self._left, self._right, across) = (
            _places(length, whole, crop, step)
            for length, whole, step in zip(size, resized, steps, strict=True)
        )
        self._down, self._across = down[:, None, None], across[:, None]

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (H, W, 3) -> float32 (h, w, 3), still from 0 to 255."""
        top, bottom = (self._row(image[rows]) for rows in (self._top, self._bottom))
        return (1 - self._down) * top + self._down * bottom

    def _row(self, rows: NDArray[np.uint8]) -> NDArray[np.float32]:
        return (1 - self._across) * rows[:, self._left] + self._across * rows[:, self._right]


def _places(
    length: int, resized: int, crop: int | None, step: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """For each wanted pixel of one axis: its two neighbours and the weight of the second."""
    first = 0 if crop is None else round((resized - crop) / 2)
    wanted = np.arange(first, resized if crop is None else first + crop, dtype=np.float32)
    at = np.maximum((wanted + np.float32(0.5)) * np.float32(step) - np.float32(0.5), 0)
    before = np.minimum(at.astype(np.intp), length - 1)
    return before, np.minimum(before + 1, length - 1), at - before.astype(np.float32)
