"""8-bit preprocessing against torchvision's own transforms on Pillow pictures, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms

from extract.ops.picture.images import centre_crop, resize_shorter, squash, ten_crop

BILINEAR = Image.Resampling.BILINEAR
SIZES = [(360, 640), (480, 271), (256, 256), (97, 303)]


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_each_equals_torchvisions(size: tuple[int, int]) -> None:
    image = picture(*size)
    shown = Image.fromarray(image)
    resized = resize_shorter(image, 232, resample=BILINEAR)
    np.testing.assert_array_equal(resized, transforms.Resize(232)(shown))
    np.testing.assert_array_equal(squash(image, 240, resample=BILINEAR), transforms.Resize((240, 240))(shown))
    np.testing.assert_array_equal(
        centre_crop(resized, 224), transforms.CenterCrop(224)(Image.fromarray(resized))
    )
    for mine, theirs in zip(
        ten_crop(resized, 224), transforms.TenCrop(224)(Image.fromarray(resized)), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
        assert mine.flags.c_contiguous


def test_a_picture_smaller_than_the_crop_is_refused() -> None:
    for cut in (centre_crop, ten_crop):
        with pytest.raises(ValueError, match=r"a crop of 224.*\(97, 303, 3\)"):
            cut(picture(97, 303), 224)
