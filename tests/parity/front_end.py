"""Front ends that some published checkpoints carry as tensors, computed in NumPy."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray


def hann(length: int) -> NDArray[np.float64]:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length))


def hz_to_mel(frequency: float | NDArray[np.float64], htk: bool) -> NDArray[np.float64]:
    hertz: NDArray[np.float64] = np.asarray(frequency, np.float64)
    if htk:
        return np.asarray(2595 * np.log10(1 + hertz / 700))
    step = np.log(6.4) / 27
    return np.asarray(
        np.where(hertz < 1000, 3 * hertz / 200, 15 + np.log(np.maximum(hertz, 1e-9) / 1000) / step)
    )


def mel_to_hz(mel: NDArray[np.float64], htk: bool) -> NDArray[np.float64]:
    if htk:
        return np.asarray(700 * (10 ** (mel / 2595) - 1))
    step = np.log(6.4) / 27
    return np.where(mel < 15, 200 * mel / 3, 1000 * np.exp(step * (mel - 15)))


def mel_bank(
    rate: int, n_fft: int, n_mels: int, low: float, high: float, *, htk: bool, area_norm: bool
) -> NDArray[np.float64]:
    """(n_mels, n_fft // 2 + 1) triangles, linear in Hz."""
    edges = mel_to_hz(np.linspace(hz_to_mel(low, htk), hz_to_mel(high, htk), n_mels + 2), htk)
    frequency = np.linspace(0, rate / 2, n_fft // 2 + 1)
    up = (frequency[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    down = (edges[2:, None] - frequency[None]) / np.diff(edges)[1:, None]
    bank = np.maximum(0, np.minimum(up, down))
    return np.asarray(bank * (2 / (edges[2:] - edges[:-2]))[:, None] if area_norm else bank)


def sinusoids(positions: int, dimensions: int) -> NDArray[np.float64]:
    """(positions, dimensions): sines, then cosines."""
    half = dimensions // 2
    inverse = np.exp(-np.log(10000.0) / (half - 1) * np.arange(half))
    angles = np.arange(positions)[:, None] * inverse[None]
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)


def build(name: str, key: str) -> NDArray[np.float32]:
    """The tensor ``key`` of the front end ``name``.

    Names: ``panns_32k``, ``choi_fcn``, ``whisper_positions_<positions>x<dimensions>``.

    Raises:
        KeyError: another name.
    """
    match = re.fullmatch(r"whisper_positions_(\d+)x(\d+)", name)
    if match:
        return sinusoids(int(match[1]), int(match[2])).astype(np.float32)
    if name == "panns_32k":
        if key.endswith("melW"):
            return mel_bank(32000, 1024, 64, 50, 14000, htk=False, area_norm=True).T.astype(np.float32)
        angles = -2 * np.pi * np.outer(np.arange(513), np.arange(1024)) / 1024
        part = np.cos(angles) if "real" in key else np.sin(angles)
        return np.asarray((part * hann(1024))[:, None], np.float32)
    if name == "choi_fcn":
        if key.endswith("window"):
            return hann(512).astype(np.float32)
        return mel_bank(16000, 512, 96, 0, 8000, htk=True, area_norm=False).T.astype(np.float32)
    raise KeyError(name)
