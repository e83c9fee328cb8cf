"""How a stored picture has to be turned, from the display matrix that travels with it."""

from __future__ import annotations

import math
from typing import NamedTuple

import av
import numpy as np
from av.sidedata.sidedata import Type


class Orientation(NamedTuple):
    """Turn the stored picture upside down (top to bottom) if ``flipped``, then clockwise by ``degrees``."""

    degrees: int = 0
    flipped: bool = False


def orientation(frame: av.VideoFrame) -> Orientation:
    """One of the eight ways to lay a picture, as FFmpeg's ``-autorotate`` does it.

    The display matrix (libavutil/display.h) maps stored (x, y) to shown (a x + c y, b x + d y), its
    numbers being a, b, u, c, d, v, x, y, w. Angles between quarter turns go to the nearest one. Without
    a matrix, or with one that squeezes the picture flat, nothing is turned.
    """
    data = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]  # its stub knows str only
    if data is None:
        return Orientation()
    a, b, _, c, d = (float(number) for number in np.frombuffer(data, np.int32, count=5))
    if not a * d - b * c:
        return Orientation()
    quarters = round(math.degrees(math.atan2(b / math.hypot(b, d), a / math.hypot(a, c))) / 90)
    return Orientation(quarters % 4 * 90, a * d < b * c)
