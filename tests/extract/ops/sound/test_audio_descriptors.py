"""jAudio-like descriptors against librosa, scipy and signals whose values are known."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest
import scipy.fft
import scipy.linalg
import scipy.signal
import scipy.stats
from numpy.typing import NDArray

from extract.ops.sound.audio_descriptors import (
    AUDIO_DESCRIPTORS,
    GROUP,
    SAMPLE_RATE,
    WINDOW,
    AudioDescriptors,
    AudioRows,
    linear_prediction,
)
from extract.types import AudioBlock

Samples = NDArray[np.float32]


def describe(
    samples: Samples, *, block: int = 5000, start_seconds: float = 0.0
) -> dict[str, NDArray[np.float32]]:
    """Every descriptor by name, and ``seconds``; over the whole sound."""
    stream = AudioDescriptors()
    groups: list[AudioRows] = []
    for at in range(0, len(samples), block):
        groups += stream.push(
            AudioBlock(samples[at : at + block], SAMPLE_RATE, start_seconds + at / SAMPLE_RATE)
        )
    groups += stream.flush()
    values = np.concatenate([g.values for g in groups])
    assert values.shape[1] == len(AUDIO_DESCRIPTORS) == len(set(AUDIO_DESCRIPTORS))
    named = dict(zip(AUDIO_DESCRIPTORS, values.T, strict=True))
    return {**named, "seconds": np.concatenate([g.seconds for g in groups])}


def sine(frequency: float, *, amplitude: float = 0.5, seconds: float = 2.0) -> Samples:
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * frequency * t)).astype(np.float32)


@pytest.fixture(scope="module")
def noise() -> Samples:
    """Coloured noise of 2.5 groups and half a window."""
    white = np.random.default_rng(0).normal(0, 0.1, GROUP * WINDOW * 5 // 2 + WINDOW // 2)
    coloured: Samples = scipy.signal.lfilter([1], [1, -0.8], white).astype(np.float32)
    return coloured


@pytest.fixture(scope="module")
def magnitude(noise: Samples) -> NDArray[np.float64]:
    """(bins, windows), from scipy."""
    windows = noise[: len(noise) // WINDOW * WINDOW].reshape(-1, WINDOW).astype(np.float64)
    window = scipy.signal.get_window("hann", WINDOW)
    spectrum: NDArray[np.float64] = np.abs(scipy.fft.rfft(windows * window)).T * 2 / window.sum()
    return spectrum


def test_a_sine_is_found_at_its_frequency() -> None:
    bin_hz = SAMPLE_RATE / WINDOW
    frequency = 100 * bin_hz
    found = describe(sine(frequency))
    np.testing.assert_allclose(found["rms"], 0.5 / np.sqrt(2), rtol=1e-3)
    np.testing.assert_allclose(found["zero_crossing_rate"], 2 * frequency / SAMPLE_RATE, rtol=0.02)
    np.testing.assert_allclose(found["spectral_centroid_hz"], frequency, rtol=1e-3)
    np.testing.assert_allclose(found["strongest_frequency_hz"], frequency)
    np.testing.assert_allclose(found["spectral_rolloff_hz"], frequency, atol=bin_hz)
    assert found["spectral_flux"][1:].max() < 1e-6


def test_the_spectrum_equals_librosa(noise: Samples, magnitude: NDArray[np.float64]) -> None:
    found = describe(noise)
    kwargs: dict[str, Any] = {"S": magnitude, "sr": SAMPLE_RATE, "n_fft": WINDOW}
    np.testing.assert_allclose(
        found["spectral_centroid_hz"], librosa.feature.spectral_centroid(**kwargs)[0], rtol=1e-5
    )
    np.testing.assert_allclose(
        found["spectral_spread_hz"], librosa.feature.spectral_bandwidth(**kwargs)[0], rtol=1e-5
    )
    power = {**kwargs, "S": magnitude**2}
    np.testing.assert_allclose(
        found["spectral_rolloff_hz"],
        librosa.feature.spectral_rolloff(**power, roll_percent=0.85)[0],
        rtol=1e-5,
    )
    mel = librosa.feature.melspectrogram(**power, n_mels=40)
    expected = librosa.feature.mfcc(S=np.log(np.maximum(mel, 1e-10)), n_mfcc=13)
    mine = np.stack([found[f"mfcc_{i}"] for i in range(13)])
    np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-4)


def test_the_shape_equals_weighted_statistics(noise: Samples, magnitude: NDArray[np.float64]) -> None:
    found = describe(noise)
    frequencies = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    counts = np.round(magnitude[:, 3] / magnitude[:, 3].sum() * 2e6).astype(int)
    drawn = np.repeat(frequencies, counts)
    assert found["spectral_skewness"][3] == pytest.approx(scipy.stats.skew(drawn), rel=1e-2)
    assert found["spectral_kurtosis"][3] == pytest.approx(scipy.stats.kurtosis(drawn, fisher=False), rel=1e-2)
    np.testing.assert_allclose(found["spectral_variability"], np.std(magnitude, axis=0), rtol=1e-5)
    flux = (np.diff(magnitude, axis=1) ** 2).sum(axis=0)
    np.testing.assert_allclose(found["spectral_flux"], [0, *flux], rtol=1e-4)
    level = 20 * np.log(magnitude[:, 0])
    compactness = sum(abs(level[i] - level[i - 1 : i + 2].mean()) for i in range(1, len(level) - 1))
    assert found["compactness"][0] == pytest.approx(compactness, rel=1e-5)


def test_the_waveform_equals_librosa(noise: Samples) -> None:
    found = describe(noise)
    windows = noise[: len(noise) // WINDOW * WINDOW].reshape(-1, WINDOW)
    np.testing.assert_allclose(
        found["rms"],
        [librosa.feature.rms(y=w, frame_length=WINDOW, center=False)[0, 0] for w in windows],
        rtol=1e-5,
    )
    crossings = [librosa.zero_crossings(w, pad=False).sum() / (WINDOW - 1) for w in windows]
    np.testing.assert_allclose(found["zero_crossing_rate"], crossings, rtol=1e-5)


def test_linear_prediction_solves_the_normal_equations(noise: Samples) -> None:
    windows = noise[: 4 * WINDOW].reshape(4, WINDOW).astype(np.float64)
    mine = linear_prediction(windows)
    for window, coefficients in zip(windows, mine, strict=True):
        tapered = window * scipy.signal.get_window("hann", WINDOW)
        correlation = np.correlate(tapered, tapered, "full")[WINDOW - 1 :][:11]
        correlation[0] *= 1 + 1e-9
        expected = scipy.linalg.solve_toeplitz(correlation[:10], correlation[1:])
        np.testing.assert_allclose(coefficients, expected, rtol=1e-5, atol=1e-6)
    assert abs(mine[:, 0].mean() - 0.8) < 0.1  # the filter that coloured the noise


@pytest.mark.parametrize("per_minute", [80, 120, 150])
def test_clicks_are_heard_as_their_beat(per_minute: int) -> None:
    period = 60 * SAMPLE_RATE / per_minute
    samples = np.zeros(10 * SAMPLE_RATE, np.float32)
    for click in np.arange(0, len(samples) - 2000, period).astype(int):
        samples[click : click + 2000] = np.random.default_rng(0).normal(0, 0.3, 2000)
    found = describe(samples)
    settled = found["seconds"] > 6
    lag = 1024 / 44_100  # seconds between two values of the energy curve
    beats = 60 / found["strongest_beat_bpm"][settled]
    multiples = beats / (60 / per_minute)  # twice the period is a beat as well
    assert (np.abs(multiples - np.round(multiples)) * 60 / per_minute <= lag).all()
    assert (found["beat_sum"][settled] > 0.5).all()
    assert (found["low_energy_fraction"][settled] > 0.6).all()


def test_steady_noise_has_a_weaker_beat_than_clicks() -> None:
    clicks = np.zeros(8 * SAMPLE_RATE, np.float32)
    clicks.reshape(-1, SAMPLE_RATE // 2)[:, :1500] = 0.5
    rng = np.random.default_rng(0)
    steady = rng.normal(0, 0.1, len(clicks)).astype(np.float32)
    beat, noise = describe(clicks), describe(steady)
    assert beat["strongest_beat_share"][-1] > 1.3 * noise["strongest_beat_share"][-1]
    assert beat["beat_sum"][-1] > 1.3 * noise["beat_sum"][-1]


def test_silence_is_finite_and_zero() -> None:
    found = describe(np.zeros(3 * SAMPLE_RATE, np.float32))
    for name, values in found.items():
        assert np.isfinite(values).all(), name
        if name not in ("seconds", "mfcc_0"):  # mfcc_0 is the floor's logarithm
            assert np.abs(values).max() < 1e-9, name
    np.testing.assert_allclose(found["mfcc_0"], np.log(1e-10) * np.sqrt(40), rtol=1e-5)


def test_the_loudest_square_wave_is_finite() -> None:
    for values in describe(np.sign(sine(3.0, seconds=4.0))).values():
        assert np.isfinite(values).all()


def test_blocks_do_not_matter(noise: Samples) -> None:
    whole = describe(noise, block=len(noise))
    for block in (100, 1024, 33_333):
        for name, values in describe(noise, block=block).items():
            np.testing.assert_array_equal(values, whole[name], err_msg=name)


def test_times_are_the_middles_of_the_windows(noise: Samples) -> None:
    seconds = describe(noise, start_seconds=100.0)["seconds"]
    expected = 100 + (np.arange(GROUP * 5 // 2) + 0.5) * WINDOW / SAMPLE_RATE
    np.testing.assert_allclose(seconds, expected)


def test_less_than_a_window_is_left_out() -> None:
    stream = AudioDescriptors()
    assert list(stream.push(AudioBlock(np.ones(WINDOW - 1, np.float32), SAMPLE_RATE, 0.0))) == []
    (group,) = stream.flush()
    assert group.values.shape == (0, len(AUDIO_DESCRIPTORS))
    assert group.end_seconds == pytest.approx((WINDOW - 1) / SAMPLE_RATE)
