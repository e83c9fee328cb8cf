"""8-bit picture preprocessing with Pillow, beside the decoder: the published pipelines' own rounding.

Each function equals the torchvision or open_clip transform that it names, bit for bit, without
importing torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]


def resize_shorter(image: Picture, size: int, *, resample: Image.Resampling) -> Picture:
    """(H, W, 3) with the shorter side at ``size``, as torchvision's ``Resize(size)``."""
    height, width = image.shape[:2]
    if height <= width:
        return _resize(image, size, int(size * width / height), resample)
    return _resize(image, int(size * height / width), size, resample)


def centre_crop(image: Picture, size: int) -> Picture:
    """The middle (size, size, 3), as torchvision's ``CenterCrop(size)``; the picture must be as large."""
    height, width = image.shape[:2]
    if min(height, width) < size:
        raise ValueError(f"a crop of {size} needs a picture at least as large: {image.shape = }")
    top, left = round((height - size) / 2), round((width - size) / 2)
    return np.ascontiguousarray(image[top : top + size, left : left + size])


def squash(image: Picture, size: int, *, resample: Image.Resampling) -> Picture:
    """The whole picture as (size, size, 3) whatever its aspect, as torchvision's ``Resize((size, size))``."""
    return _resize(image, size, size, resample)


def ten_crop(image: Picture, size: int) -> list[Picture]:
    """Corners and middle, then the same of the mirrored picture, as torchvision's ``TenCrop(size)``.

    The order is top left, top right, bottom left, bottom right, middle; each is (size, size, 3).
    """
    middle = centre_crop(image, size)  # refuses a picture that is too small
    height, width = image.shape[:2]
    mirrored = image[:, ::-1]
    return [
        np.ascontiguousarray(crop)
        for side, centre in ((image, middle), (mirrored, centre_crop(mirrored, size)))
        for crop in (
            side[:size, :size],
            side[:size, width - size :],
            side[height - size :, :size],
            side[height - size :, width - size :],
            centre,
        )
    ]


def fit_longer(image: Picture, size: int, *, resample: Image.Resampling) -> Picture:
    """The whole picture inside (size, size, 3), the rest black, as open_clip's resize mode "longest"."""
    height, width = image.shape[:2]
    ratio = max(height, width) / size
    inner = _resize(image, max(1, round(height / ratio)), max(1, round(width / ratio)), resample)
    top, left = (size - inner.shape[0]) // 2, (size - inner.shape[1]) // 2
    out = np.zeros((size, size, 3), np.uint8)
    out[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return out


def _resize(image: Picture, height: int, width: int, resample: Image.Resampling) -> Picture:
    return np.asarray(Image.fromarray(image).resize((width, height), resample))
