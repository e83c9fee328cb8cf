"""The colours of a picture from top to bottom: side by side over time they are a film's barcode."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BANDS = 5


def band_colours(picture: Image.Image) -> NDArray[np.float32]:
    """Mean R, G and B of five bands of equal height from top to bottom: (5, 3), 0 to 255, in whole levels."""
    return np.asarray(picture.resize((1, BANDS), Image.Resampling.BOX), np.float32)[:, 0]
