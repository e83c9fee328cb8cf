"""Plain bilinear resizing against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from extract.ops.picture.bilinear import PlainBilinear


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def interpolate(image: np.ndarray, **where: object) -> np.ndarray:
    values = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    resized = functional.interpolate(values, mode="bilinear", align_corners=False, **where)  # type: ignore[arg-type]
    return np.asarray(resized[0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("size", [(360, 640), (97, 53), (128, 171), (3, 1000), (1, 1)])
def test_to_a_size_as_torch(size: tuple[int, int]) -> None:
    image = picture(*size)
    mine = PlainBilinear(size, (128, 171))(image)
    np.testing.assert_allclose(mine, interpolate(image, size=(128, 171)), atol=2e-3)
    assert mine.dtype == np.float32


@pytest.mark.parametrize("size", [(360, 641), (481, 270), (100, 100)])
def test_by_a_scale_as_torch(size: tuple[int, int]) -> None:
    image = picture(*size)
    scale = 128 / min(size)
    theirs = interpolate(image, scale_factor=scale)
    resized = (theirs.shape[0], theirs.shape[1])
    steps = (1 / scale, 1 / scale)
    np.testing.assert_allclose(PlainBilinear(size, resized, steps=steps)(image), theirs, atol=2e-3)
    top, left = (round((side - 112) / 2) for side in resized)
    cropped = PlainBilinear(size, resized, crop=112, steps=steps)(image)
    np.testing.assert_allclose(cropped, theirs[top : top + 112, left : left + 112], atol=2e-3)


def test_a_crop_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="112"):
        PlainBilinear((100, 100), (100, 200), crop=112)
