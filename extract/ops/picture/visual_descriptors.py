"""Colour and light of key frames, brightness and change of all frames.

Colour variance and lighting key are those of Rasheed, Sheikh and Shah 2005 ("On the use of
computable features for film classification", IEEE TCSVT 15(1)). ``docs/descriptors.md`` defines
every name.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

KEYFRAME_SHORT_SIDE = 256  # larger key frames are averaged down to it: four colours, not grain
HUE_BINS, SATURATION_BINS, VALUE_BINS = 8, 4, 4  # as in Rasheed's shot detection

KEYFRAME_DESCRIPTORS: tuple[str, ...] = (
    *(f"hue_histogram_{i}" for i in range(HUE_BINS)),
    *(f"saturation_histogram_{i}" for i in range(SATURATION_BINS)),
    *(f"value_histogram_{i}" for i in range(VALUE_BINS)),
    *(f"luv_{c}_{m}" for m in ("mean", "std", "skewness") for c in "luv"),
    "saturation_mean",
    "saturation_std",
    "value_mean",
    "value_std",
    "colourfulness",
)
FRAME_DESCRIPTORS = ("luma", "luma_contrast")
CHANGE_DESCRIPTORS = ("frame_difference", "flicker")


class KeyframeColours(NamedTuple):
    """``descriptors`` (len(KEYFRAME_DESCRIPTORS),); ``luv`` (pixels, 3) for pooled covariances."""

    descriptors: NDArray[np.float64]
    luv: NDArray[np.float32]
    lighting_key: float


def keyframe_colours(image: NDArray[np.uint8]) -> KeyframeColours:
    """Everything that is read from one key frame: RGB uint8 (height, width, 3).

    Luv is CIE 1976 L*u*v* of sRGB under D65 with L* in 0..100; saturation and value are those of
    HSV, in [0, 1]. The lighting key is the mean times the standard deviation of value.
    """
    import cv2

    small = _shrink(image)
    unit = small.astype(np.float32) / 255
    luv = np.asarray(cv2.cvtColor(unit, cv2.COLOR_RGB2Luv), np.float32).reshape(-1, 3)
    hue, saturation, value = cv2.cvtColor(unit, cv2.COLOR_RGB2HSV).reshape(-1, 3).T.astype(np.float64)
    spread = [saturation.mean(), saturation.std(), value.mean(), value.std()]
    descriptors = np.concatenate(
        [
            _hue_histogram(hue, saturation),
            _histogram(saturation, SATURATION_BINS),
            _histogram(value, VALUE_BINS),
            _colour_moments(luv),
            spread,
            [colourfulness(small)],
        ]
    )
    return KeyframeColours(descriptors, luv, float(value.mean() * value.std()))


def colour_variance(covariance: NDArray[np.float64]) -> float:
    """Rasheed's generalised variance: the determinant of the (3, 3) Luv covariance; NaN of NaN."""
    if np.isnan(covariance).any():
        return float("nan")
    return max(0.0, float(np.linalg.det(covariance)))  # rounding may fall below zero


def colourfulness(image: NDArray[np.uint8]) -> float:
    """Hasler and Süsstrunk 2003 ("Measuring colourfulness in natural images"), section 7's M3."""
    red, green, blue = image.reshape(-1, 3).T.astype(np.float64)
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    deviation, mean = opponents.std(axis=1), opponents.mean(axis=1)
    return float(np.hypot(*deviation) + 0.3 * np.hypot(*mean))


def frame_descriptors(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """FRAME_DESCRIPTORS of grey frames (n, height, width): (n, 2), in [0, 1]."""
    flat = frames.reshape(len(frames), -1)
    return np.stack([flat.mean(axis=1) / 255, flat.std(axis=1) / 255], axis=1).astype(np.float32)


def change_descriptors(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CHANGE_DESCRIPTORS between neighbours of (n, height, width): (n - 1, 2), in [0, 1]."""
    flat = frames.reshape(len(frames), -1).astype(np.int16)
    difference = np.abs(np.diff(flat, axis=0)).mean(axis=1)
    flicker = np.abs(np.diff(flat.mean(axis=1)))
    return (np.stack([difference, flicker], axis=1) / 255).astype(np.float32)


def _shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    height, width = image.shape[:2]
    scale = KEYFRAME_SHORT_SIDE / min(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _histogram(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Shares of equal bins over [0, 1]."""
    return np.histogram(values, bins, (0, 1))[0] / len(values)


def _hue_histogram(hue: NDArray[np.float64], saturation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of HUE_BINS bins over 360 degrees, each pixel counting by its saturation."""
    counts = np.histogram(hue % 360, HUE_BINS, (0, 360), weights=saturation)[0]
    total = counts.sum()
    shares: NDArray[np.float64] = counts / total if total > 0 else counts
    return shares


def _colour_moments(luv: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean, deviation and skewness of L*, u* and v*, after Stricker and Orengo 1995: (9,)."""
    channels = np.ascontiguousarray(luv.T, np.float64)
    mean, std = channels.mean(axis=1), channels.std(axis=1)
    centred = channels - mean[:, None]
    third = (centred * centred * centred).mean(axis=1)
    # rounding leaves a trace of deviation in a picture of one colour
    skewness = np.where(std > 1e-3, third / np.where(std > 1e-3, std, 1) ** 3, 0.0)
    return np.concatenate([mean, std, skewness])
