"""Test inputs by rule: integer arithmetic and PCG64 alone, so every machine makes the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def _random(*seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(list(seed)))


def image(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """(height, width, 3) RGB with structure: ramps, rings, a checkerboard, blocky and fine noise."""
    random = _random(1, seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    centre_y = int(random.integers(height // 4, 3 * height // 4))
    centre_x = int(random.integers(width // 4, 3 * width // 4))
    shift, period = int(random.integers(3, 7)), int(random.integers(5, 40))
    ramp = np.stack(
        [x * 255 // (width - 1), y * 255 // (height - 1), (x + y) * 255 // (width + height - 2)], -1
    )
    rings = (((y - centre_y) ** 2 + (x - centre_x) ** 2) >> shift) & 255
    board = (((x // period) + (y // period)) & 1) * 255
    coarse = random.integers(0, 256, (height // 24 + 1, width // 24 + 1, 3))
    coarse = coarse.repeat(24, 0).repeat(24, 1)[:height, :width]
    fine = random.integers(0, 64, (height, width, 3))
    ramp = ramp[..., random.permutation(3)]
    mixed = 3 * ramp + 2 * rings[..., None] + board[..., None] * np.array([1, 0, 2]) + 4 * coarse
    pixels = mixed // 11 + fine - 32
    patch = (slice(height // 8, height // 3), slice(width // 8, width // 3))
    pixels[patch] = random.integers(0, 2, 3) * 255  # flat and saturated, with hard edges
    return np.asarray(np.clip(pixels, 0, 255), np.uint8)


def video(frames: int, height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """(frames, height, width, 3): a panning picture, a crossing square, one hard cut at two thirds."""
    random = _random(2, seed)
    dx, dy, side = int(random.integers(1, 4)), int(random.integers(0, 3)), max(8, height // 4)
    scenery = [image(height + 3 * frames, width + 4 * frames, 7919 * seed + i) for i in range(2)]
    colour = random.integers(0, 256, 3)
    clip = np.empty((frames, height, width, 3), np.uint8)
    for i in range(frames):
        background = scenery[int(3 * i >= 2 * frames)]
        frame = background[dy * i : dy * i + height, dx * i : dx * i + width].copy()
        left, top = (5 * i) % (width - side), (3 * i + height // 3) % (height - side)
        frame[top : top + side, left : left + side] = colour
        clip[i] = frame
    return clip


def waveform(samples: int, rate: int, seed: int) -> NDArray[np.float32]:
    """(samples,) in [-1, 1), 16-bit values / 32768: two chirps, a pulsed tone, noise, a silence."""
    random = _random(3, seed)
    seconds = np.arange(samples, dtype=np.float64) / rate
    f0, f1, f2 = random.uniform(80, 400), random.uniform(900, 3000), random.uniform(200, 900)
    duration = max(samples / rate, 1e-9)
    sound = 0.3 * np.sin(2 * np.pi * (f0 + 0.5 * (f1 - f0) * seconds / duration) * seconds)
    sound += 0.2 * np.sin(2 * np.pi * (f1 - 0.4 * (f1 - f2) * seconds / duration) * seconds)
    sound += 0.2 * np.sin(2 * np.pi * f2 * seconds) * (np.floor(seconds * 5) % 2 == 0)
    sound += random.standard_normal(samples) * np.where(np.floor(seconds * 3 + 0.5) % 3 == 0, 0.15, 0.004)
    sound[int(0.62 * samples) : int(0.68 * samples)] = 0
    return (np.clip(np.rint(sound * 32767), -32768, 32767) / 32768).astype(np.float32)


def tokens(length: int, vocabulary: int, seed: int) -> NDArray[np.int64]:
    """(length,) token ids: 101 and 102 around ids in [1000, vocabulary)."""
    ids = _random(4, seed).integers(1000, vocabulary, length)
    ids[0], ids[-1] = 101, 102
    return ids.astype(np.int64)


def normal(shape: Sequence[int], seed: int) -> NDArray[np.float32]:
    return _random(5, seed).standard_normal(tuple(shape)).astype(np.float32)
