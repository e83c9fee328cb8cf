"""Mean colours of a picture's bands."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from extract.ops.picture.colour_bands import band_colours


@pytest.mark.parametrize("height", [45, 178, 180])
def test_colours_are_means_of_equal_bands(height: int) -> None:
    image = np.random.default_rng(height).integers(0, 256, (height, 12, 3), dtype=np.uint8)
    rows = np.repeat(image, 5, axis=0)  # five bands of equal height, exactly
    expected = rows.reshape(5, height, 12, 3).mean(axis=(1, 2))
    np.testing.assert_allclose(band_colours(Image.fromarray(image)), expected, atol=2)
