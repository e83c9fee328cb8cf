"""Motion content on pictures whose movement is known, and against scipy's filters."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from numpy.typing import NDArray

from extract.ops.motion.motion_content import RADIUS, MotionContent, active_pixels, orientation

FRAMES, HEIGHT, WIDTH = 24, 96, 160


@pytest.fixture(scope="module")
def texture() -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(size=(HEIGHT, 3 * WIDTH))
    smooth = scipy.ndimage.gaussian_filter(noise, 2.0, mode="wrap")
    return np.asarray((128 + 40 * smooth / smooth.std()).clip(0, 255), np.uint8)


def shares(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    return MotionContent().push(frames)[1]


def test_a_still_picture_has_none(texture: NDArray[np.uint8]) -> None:
    assert not shares(np.stack([texture[:, :WIDTH]] * FRAMES)).any()


def test_a_still_picture_with_sensor_noise_has_little(texture: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(1).normal(0, 1, (FRAMES, HEIGHT, WIDTH))
    noisy = (texture[None, :, :WIDTH] + noise).clip(0, 255).astype(np.uint8)
    assert shares(noisy).mean() < 0.1


def test_a_pan_is_one_direction_and_independent_movement_many(texture: NDArray[np.uint8]) -> None:
    pan = np.stack([texture[:, t : t + WIDTH] for t in range(FRAMES)])
    rng = np.random.default_rng(2)
    boiling = rng.normal(size=(FRAMES, HEIGHT, WIDTH))
    boiling = scipy.ndimage.gaussian_filter(boiling, (1.0, 2.0, 2.0))
    boiling = (128 + 40 * boiling / boiling.std()).clip(0, 255).astype(np.uint8)
    assert shares(pan).mean() + 0.2 < shares(boiling).mean()
    assert shares(boiling).min() > 0.4


def test_what_moves_before_a_still_background_is_counted(texture: NDArray[np.uint8]) -> None:
    frames = np.stack([texture[:, :WIDTH]] * FRAMES)
    for t in range(FRAMES):
        frames[t, :, 60:100] = texture[:, WIDTH + 2 * t : WIDTH + 2 * t + 40]
    still = shares(np.stack([texture[:, :WIDTH]] * FRAMES)).mean()
    moving = shares(frames)
    assert still == 0
    assert 0.05 < moving.mean() < 0.4  # a quarter of the picture moves


@pytest.mark.parametrize("pixels_per_frame", [-1, 1, 2])
def test_the_orientation_of_a_pan(pixels_per_frame: int, texture: NDArray[np.uint8]) -> None:
    """Brightness is constant along x + v t, so Ht = v Hx and theta = atan(v)."""
    row = texture[10]
    steps = [WIDTH + pixels_per_frame * t + np.arange(WIDTH) for t in range(FRAMES)]
    slices = row[np.stack(steps)].astype(np.float32)[:, None, :]
    theta = np.degrees(orientation(slices))
    expected = np.degrees(np.arctan(pixels_per_frame))
    assert abs(np.median(theta) - expected) < 4


def test_the_tensor_equals_scipys_filters(texture: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(3)
    slices = scipy.ndimage.gaussian_filter(rng.normal(0, 300, (40, 64)), 1.5).astype(np.float64)
    in_time = scipy.ndimage.correlate1d(slices, [-0.5, 0, 0.5], axis=0)
    in_space = np.gradient(slices, axis=1)
    weights = np.array([1, 4, 6, 4, 1]) / 16

    def smooth(product: NDArray[np.float64]) -> NDArray[np.float64]:
        over_time = scipy.ndimage.correlate1d(product, weights, axis=0)
        return np.asarray(scipy.ndimage.correlate1d(over_time, weights, axis=1, mode="nearest"))

    xx, xt, tt = smooth(in_space**2), smooth(in_space * in_time), smooth(in_time**2)
    expected = 0.5 * np.arctan2(2 * xt, xx - tt)
    expected[xx + tt < 1] = 0
    mine = orientation(slices.astype(np.float32)[:, None, :])[:, 0]
    difference = np.abs(mine - expected[RADIUS:-RADIUS])
    assert np.minimum(difference, np.pi - difference).max() < 1e-2

    inner = expected[RADIUS:-RADIUS]
    counts = [np.histogram(line, 7, (-np.pi / 2, np.pi / 2))[0] for line in inner]
    active = active_pixels(slices.astype(np.float32)[:, None, :])
    assert np.abs(active - [64 - c.max() for c in counts]).max() <= 1


def test_batches_do_not_matter(texture: NDArray[np.uint8]) -> None:
    frames = np.stack([texture[:, 3 * t : 3 * t + WIDTH] for t in range(FRAMES)])
    whole_places, whole = MotionContent().push(frames)
    stream = MotionContent()
    parts = [stream.push(part) for part in np.split(frames, [1, 2, 5, 17])]
    np.testing.assert_array_equal(np.concatenate([p for p, _ in parts]), whole_places)
    np.testing.assert_array_equal(np.concatenate([v for _, v in parts]), whole)
    assert whole_places.tolist() == list(range(RADIUS, FRAMES - RADIUS))


def test_a_picture_of_one_pixel_has_none() -> None:
    frames = np.arange(20, dtype=np.uint8)[:, None, None] * 10
    assert shares(frames).tolist() == [0.0] * (20 - 2 * RADIUS)
