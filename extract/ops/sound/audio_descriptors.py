"""Audio descriptors in the manner of jAudio, one row for each 46 ms of sound.

jAudio (McEnnis, McKay, Fujinaga and Depalle 2005, ISMIR; repository dmcennis/jAudioGIT) is what
Huang and Wang (2012) took their audio features from. The list of their 277 features is not
published, so this is a set of its own with the same families; ``docs/descriptors.md`` defines
each one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from extract.ops.sound.mel import dct_matrix, slaney_mel_filters
from extract.ops.sound.spectrogram import hann
from extract.ops.sound.windows import AudioWindows, Window
from extract.types import AudioBlock

SAMPLE_RATE = 44_100
WINDOW = 2048  # samples of one row; windows do not overlap
GROUP = 16  # windows that are computed together: always as many, so that blocks do not matter
BEAT_STEP = 1024  # samples of one value of the energy curve
BEAT_HISTORY = 256  # values of that curve in which periods are sought: 5.9 s
LOW_ENERGY_HISTORY = 100  # the last ones of them, 2.3 s
BEAT_LAGS = (13, 64)  # 199 to 40 beats per minute
ROLLOFF = 0.85
MEL_BANDS = 40
MFCCS = 13
LPC_ORDER = 10
FLOOR = 1e-10  # of magnitudes and mel powers under a logarithm
WHITE_NOISE = 1e-9  # added to the power, so that pure tones have a stable predictor

AUDIO_DESCRIPTORS: tuple[str, ...] = (
    "rms",
    "zero_crossing_rate",
    "low_energy_fraction",
    "strongest_beat_bpm",
    "beat_sum",
    "strongest_beat_share",
    "spectral_centroid_hz",
    "spectral_spread_hz",
    "spectral_skewness",
    "spectral_kurtosis",
    "spectral_rolloff_hz",
    "spectral_flux",
    "spectral_variability",
    "compactness",
    "strongest_frequency_hz",
    *(f"mfcc_{i}" for i in range(MFCCS)),
    *(f"lpc_{i}" for i in range(1, LPC_ORDER + 1)),
)


class AudioRows(NamedTuple):
    """``seconds`` (n,) are the middles of the windows, ``values`` (n, len(AUDIO_DESCRIPTORS))."""

    seconds: NDArray[np.float64]
    values: NDArray[np.float32]
    end_seconds: float


class AudioDescriptors:
    """Turns a stream of blocks into rows of AUDIO_DESCRIPTORS, whatever the blocks' sizes.

    What remains at the end of the sound, less than one window (46 ms), is left out.
    """

    def __init__(self) -> None:
        self._windows = AudioWindows(GROUP * WINDOW, GROUP * WINDOW, sample_rate=SAMPLE_RATE)
        self._frequencies = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE).astype(np.float64)
        filters = slaney_mel_filters(sample_rate=SAMPLE_RATE, n_fft=WINDOW, bands=MEL_BANDS)
        self._mel = filters.T
        self._dct = dct_matrix(MEL_BANDS, MFCCS).T
        self._last_magnitude: NDArray[np.float64] | None = None
        self._energy = np.zeros(0)

    def push(self, block: AudioBlock) -> Iterable[AudioRows]:
        return [self._rows(window) for window in self._windows.push(block)]

    def flush(self) -> Iterable[AudioRows]:
        return [self._rows(window) for window in self._windows.flush()]

    def _rows(self, group: Window) -> AudioRows:
        heard = round((group.end_seconds - group.start_seconds) * SAMPLE_RATE)
        count = heard // WINDOW
        samples = group.samples.reshape(GROUP, WINDOW).astype(np.float64)
        values = np.concatenate(
            [
                _waveform(samples),
                self._rhythm(group.samples, heard),
                self._spectrum(samples, count),
                linear_prediction(samples),
            ],
            axis=1,
        )[:count]
        middles = (np.arange(count, dtype=np.float64) + 0.5) * (WINDOW / SAMPLE_RATE) + group.start_seconds
        return AudioRows(middles, values.astype(np.float32), group.end_seconds)

    def _rhythm(self, samples: NDArray[np.float32], heard: int) -> NDArray[np.float64]:
        """Low-energy fraction and beat, of the energy up to the end of the group: (GROUP, 4)."""
        steps = samples.reshape(-1, BEAT_STEP)[: heard // BEAT_STEP]
        energy = _rms(steps.astype(np.float64))
        self._energy = np.concatenate([self._energy, energy])[-BEAT_HISTORY:]
        recent = self._energy[-LOW_ENERGY_HISTORY:]
        low = float((recent < recent.mean()).mean()) if len(recent) else 0.0
        return np.tile([low, *beat(self._energy)], (GROUP, 1))

    def _spectrum(self, samples: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """What the magnitude spectrum shows: (GROUP, 9 + MFCCS)."""
        window = hann(WINDOW).astype(np.float64)
        # a sine of amplitude 1 has magnitude 1
        magnitude: NDArray[np.float64] = np.abs(np.fft.rfft(samples * window)) * (2 / window.sum())
        power = magnitude**2
        first = magnitude[:1] if self._last_magnitude is None else self._last_magnitude
        before = np.concatenate([first, magnitude[:-1]])
        if count:
            self._last_magnitude = magnitude[count - 1 : count]
        cumulative = np.cumsum(power, axis=1)
        rolloff = (cumulative < ROLLOFF * cumulative[:, -1:]).sum(axis=1)
        log_mel = np.log(np.maximum(power @ self._mel, FLOOR))
        columns = [
            *_shape(magnitude, self._frequencies),
            self._frequencies[rolloff],
            ((magnitude - before) ** 2).sum(axis=1),
            magnitude.std(axis=1),
            _compactness(magnitude),
            self._frequencies[magnitude.argmax(axis=1)],
        ]
        return np.concatenate([np.stack(columns, axis=1), log_mel @ self._dct], axis=1)


def _rms(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    rms: NDArray[np.float64] = np.sqrt((samples**2).mean(axis=1))
    return rms


def _waveform(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean square and the share of neighbours that differ in sign: (n, 2)."""
    negative = samples < 0
    crossings = (negative[:, 1:] != negative[:, :-1]).mean(axis=1)
    return np.stack([_rms(samples), crossings], axis=1)


def _shape(
    magnitude: NDArray[np.float64], frequencies: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Centroid, spread, skewness and kurtosis of the magnitudes as a distribution; 0 in silence."""
    total = magnitude.sum(axis=1, keepdims=True)
    share = magnitude / np.where(total > 0, total, 1)
    centroid = (share * frequencies).sum(axis=1)
    offset = frequencies - centroid[:, None]
    square = offset * offset  # higher powers by ** cost twenty times as much
    spread = np.sqrt((share * square).sum(axis=1))
    unit = np.where(spread > 0, spread, 1)
    skewness = (share * square * offset).sum(axis=1) / unit**3
    kurtosis = (share * square * square).sum(axis=1) / unit**4
    silent = total[:, 0] == 0
    return tuple(np.where(silent, 0.0, v) for v in (centroid, spread, skewness, kurtosis))


def _compactness(magnitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over bins of the distance, 20 ln, to the mean of the bin and its two neighbours."""
    level = 20 * np.log(np.maximum(magnitude, FLOOR))
    smooth = (level[:, :-2] + level[:, 1:-1] + level[:, 2:]) / 3
    distance: NDArray[np.float64] = np.abs(level[:, 1:-1] - smooth).sum(axis=1)
    return distance


def beat(energy: NDArray[np.float64]) -> tuple[float, float, float]:
    """Strongest beat (per minute), sum of all beats, and the strongest one's share of that sum.

    A beat's strength is the autocorrelation of the energy curve at its period, its mean removed,
    relative to that at lag 0; negative ones count as 0. All are 0 for a curve without a period.
    """
    centred = energy - energy.mean() if len(energy) else energy
    power = float(centred @ centred)
    low, high = BEAT_LAGS
    lags = range(low, min(high, len(energy) - 1) + 1)
    if power <= FLOOR or not lags:
        return 0.0, 0.0, 0.0
    strength = np.maximum(0.0, [centred[lag:] @ centred[:-lag] / power for lag in lags])
    total = float(strength.sum())
    if total == 0:
        return 0.0, 0.0, 0.0
    best = int(strength.argmax())
    return 60 * SAMPLE_RATE / (BEAT_STEP * lags[best]), total, float(strength[best]) / total


def linear_prediction(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients a of x[n] ~ sum_k a[k] x[n - k], k = 1 to LPC_ORDER: (n, LPC_ORDER).

    Autocorrelation method on Hann-windowed samples, Levinson-Durbin recursion; 0 in silence.
    """
    windowed = samples * hann(samples.shape[1])
    length = samples.shape[1]
    lags = [np.einsum("ij,ij->i", windowed[:, k:], windowed[:, : length - k]) for k in range(LPC_ORDER + 1)]
    correlation = np.stack(lags, axis=1)
    error = correlation[:, 0] * (1 + WHITE_NOISE)
    coefficients = np.zeros((len(samples), LPC_ORDER))
    for order in range(LPC_ORDER):
        known = (coefficients[:, :order] * correlation[:, order:0:-1]).sum(axis=1)
        residual = correlation[:, order + 1] - known
        reflection = residual / np.where(error > 0, error, 1)
        coefficients[:, :order] -= reflection[:, None] * coefficients[:, :order][:, ::-1]
        coefficients[:, order] = reflection
        error = error * (1 - reflection**2)
    return coefficients
