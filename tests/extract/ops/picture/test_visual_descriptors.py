"""Colour and light against colorsys, the CIE formulas and scipy."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from extract.ops.picture.visual_descriptors import (
    KEYFRAME_DESCRIPTORS,
    change_descriptors,
    colour_variance,
    colourfulness,
    frame_descriptors,
    keyframe_colours,
)


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """Half blue-green noise, half warm noise; small enough not to be shrunk."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 60, 3))
    image[:, 30:, 2] //= 4
    return image.astype(np.uint8)


def named(image: NDArray[np.uint8]) -> dict[str, float]:
    values = keyframe_colours(image).descriptors.tolist()
    return dict(zip(KEYFRAME_DESCRIPTORS, values, strict=True))


def cie_luv(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """IEC 61966-2-1 and CIE 15 from their formulas: (pixels, 3)."""
    unit = image.reshape(-1, 3) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = (linear @ np.transpose(matrix)).T
    white_x, white_z = 0.95047, 1.08883
    lightness = np.where(y > (6 / 29) ** 3, 116 * np.cbrt(y) - 16, (29 / 3) ** 3 * y)
    scale = np.maximum(x + 15 * y + 3 * z, 1e-12)
    white = white_x + 15 + 3 * white_z
    u = 13 * lightness * (4 * x / scale - 4 * white_x / white)
    v = 13 * lightness * (9 * y / scale - 9 / white)
    return np.stack([lightness, u, v], axis=1)


def test_colour_variance_equals_the_cie_formulas(picture: NDArray[np.uint8]) -> None:
    colours = keyframe_colours(picture)
    expected = cie_luv(picture)
    np.testing.assert_allclose(colours.luv, expected, atol=0.3)
    mine = colour_variance(np.cov(colours.luv.T.astype(np.float64), bias=True))
    assert mine == pytest.approx(np.linalg.det(np.cov(expected.T, bias=True)), rel=1e-2)


def test_colour_moments_equal_scipy(picture: NDArray[np.uint8]) -> None:
    found, luv = named(picture), cie_luv(picture)
    for i, channel in enumerate("luv"):
        assert found[f"luv_{channel}_mean"] == pytest.approx(luv[:, i].mean(), abs=0.05)
        assert found[f"luv_{channel}_std"] == pytest.approx(luv[:, i].std(), abs=0.05)
        assert found[f"luv_{channel}_skewness"] == pytest.approx(scipy.stats.skew(luv[:, i]), abs=0.01)


def test_hsv_equals_colorsys(picture: NDArray[np.uint8]) -> None:
    hsv = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in picture.reshape(-1, 3) / 255])
    found = named(picture)  # in single precision: a few pixels fall on the other side of an edge
    hue = np.histogram(hsv[:, 0], 8, (0, 1), weights=hsv[:, 1])[0]
    np.testing.assert_allclose([found[f"hue_histogram_{i}"] for i in range(8)], hue / hue.sum(), atol=2e-3)
    for i, name in ((1, "saturation"), (2, "value")):
        shares = np.histogram(hsv[:, i], 4, (0, 1))[0] / len(hsv)
        np.testing.assert_allclose([found[f"{name}_histogram_{b}"] for b in range(4)], shares, atol=4e-3)
        assert found[f"{name}_mean"] == pytest.approx(hsv[:, i].mean(), abs=1e-5)
        assert found[f"{name}_std"] == pytest.approx(hsv[:, i].std(), abs=1e-5)
    assert keyframe_colours(picture).lighting_key == pytest.approx(
        hsv[:, 2].mean() * hsv[:, 2].std(), rel=1e-5
    )


def test_colourfulness_of_known_pictures() -> None:
    grey = np.full((8, 8, 3), 90, np.uint8)
    assert colourfulness(grey) == 0
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255  # rg = 255, yb = 127.5, no deviation
    assert colourfulness(red) == pytest.approx(0.3 * np.hypot(255, 127.5))
    halves = red.copy()
    halves[:4] = (0, 255, 0)  # rg = -255 and 255, yb = 127.5
    assert colourfulness(halves) == pytest.approx(255 + 0.3 * 127.5)


@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_picture_of_one_grey_is_finite(level: int) -> None:
    colours = keyframe_colours(np.full((300, 400, 3), level, np.uint8))
    assert np.isfinite(colours.descriptors).all()
    assert colours.lighting_key == pytest.approx(0, abs=1e-6)
    assert colour_variance(np.cov(colours.luv.T.astype(np.float64), bias=True)) == pytest.approx(0, abs=1e-6)
    found = dict(zip(KEYFRAME_DESCRIPTORS, colours.descriptors, strict=True))
    assert sum(found[f"hue_histogram_{i}"] for i in range(8)) == pytest.approx(0, abs=1e-6)


def test_large_key_frames_are_averaged_and_small_ones_left(picture: NDArray[np.uint8]) -> None:
    large = picture.repeat(16, axis=0).repeat(16, axis=1)  # 640 x 960 to 256 x 384
    assert len(keyframe_colours(large).luv) == 256 * 384
    assert len(keyframe_colours(picture).luv) == 40 * 60
    assert named(large)["value_mean"] == pytest.approx(named(picture)["value_mean"], abs=0.02)


def test_brightness_and_change_of_frames() -> None:
    frames = np.zeros((4, 10, 10), np.uint8)
    frames[1] = 51
    frames[2, :5] = 255
    frames[3, 5:] = 255  # half the pixels up, half down: no flicker
    light = np.array([[0, 0], [0.2, 0], [0.5, 0.5], [0.5, 0.5]])
    change = np.array([[0.2, 0.2], [0.5, 0.3], [1, 0]])
    assert np.abs(frame_descriptors(frames) - light).max() < 1e-6
    assert np.abs(change_descriptors(frames) - change).max() < 1e-6
