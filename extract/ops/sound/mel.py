"""Mel filters and the cosine transform: the front half of cepstral coefficients, in numpy.

librosa and torchaudio have the same formulas, but taps run in decoder processes, which load neither.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


def slaney_mel_filters(
    *, sample_rate: int, n_fft: int, bands: int, low_hz: float = 0.0, high_hz: float | None = None
) -> NDArray[np.float64]:
    """Triangles of equal area from ``low_hz`` to ``high_hz`` (default: Nyquist): (bands, n_fft // 2 + 1).

    Slaney's Auditory Toolbox scale (1998), linear below 1 kHz; the same as ``librosa.filters.mel``.
    """
    low, high = _hz_to_mel(low_hz), _hz_to_mel(sample_rate / 2 if high_hz is None else high_hz)
    edges = _mel_to_hz(np.linspace(low, high, bands + 2))
    bins = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    triangles = _triangles(bins, edges)
    filters: NDArray[np.float64] = triangles * (2 / (edges[2:] - edges[:-2]))[:, None]
    return filters


def htk_mel_filters(
    *,
    sample_rate: int,
    n_fft: int,
    bands: int,
    low_hz: float,
    high_hz: float,
    straight_in: Literal["mel", "hertz"],
) -> NDArray[np.float64]:
    """Triangles of height 1 from ``low_hz`` to ``high_hz``: (bands, n_fft // 2 + 1).

    HTK's scale, 1127 ln(1 + f / 700). The triangles' sides are straight over mel, as Kaldi and
    VGGish draw them, or over hertz, as ``torchaudio.transforms.MelScale`` does.
    """
    edges = np.linspace(_hz_to_htk(low_hz), _hz_to_htk(high_hz), bands + 2)
    bins = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    if straight_in == "mel":
        return _triangles(_hz_to_htk(bins), edges)
    return _triangles(bins, _HTK_BREAK_HZ * np.expm1(edges / _HTK_FACTOR))


def _triangles(bins: NDArray[np.floating], edges: NDArray[np.floating]) -> NDArray[np.float64]:
    """Each band rises from its edge to the next and falls to the one after: (bands, bins)."""
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    return triangles


_HTK_BREAK_HZ = 700.0
_HTK_FACTOR = 1127.0


def _hz_to_htk(hz: Any) -> Any:
    return _HTK_FACTOR * np.log1p(hz / _HTK_BREAK_HZ)


_LINEAR_HZ = 200 / 3  # Hz for each mel below the break
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27  # for each mel above the break


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _LINEAR_HZ
    return float(_BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    hz: NDArray[np.float64] = np.where(mel < _BREAK_MEL, mel * _LINEAR_HZ, above)
    return hz


def dct_matrix(inputs: int, outputs: int) -> NDArray[np.float64]:
    """The first ``outputs`` rows of the orthonormal DCT-II of ``inputs`` values: (outputs, inputs)."""
    order = np.arange(outputs)[:, None]
    matrix = np.sqrt(2 / inputs) * np.cos(np.pi / inputs * (np.arange(inputs) + 0.5) * order)
    matrix[0] /= np.sqrt(2)
    result: NDArray[np.float64] = matrix
    return result
