"""Kaldi's filter banks against stored vectors of torchaudio, and against transformers' own."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from extract.ops.sound.kaldi_fbank import ENERGY_FLOOR, WindowShape, kaldi_fbank


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(5).uniform(-1, 1, samples).astype(np.float32)


@pytest.mark.parametrize(("shape", "power"), [("hanning", 1.0), ("povey", 0.85)])
def test_equals_transformers(shape: WindowShape, power: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 128 bands of 20 Hz leave some without a bin, as published
        filters = mel_filter_bank(
            num_frequency_bins=257,
            num_mel_filters=128,
            min_frequency=20,
            max_frequency=8000,
            sampling_rate=16_000,
            mel_scale="kaldi",
            triangularize_in_mel_space=True,
        )
    samples = noise(16_123)
    theirs = spectrogram(
        samples,
        window_function(400, "hann", periodic=False) ** power,
        frame_length=400,
        hop_length=160,
        fft_length=512,
        power=2.0,
        center=False,
        preemphasis=0.97,
        mel_filters=filters,
        log_mel="log",
        mel_floor=ENERGY_FLOOR,
        remove_dc_offset=True,
    )
    mine = kaldi_fbank(samples, window=shape)
    assert mine.shape == (99, 128)
    np.testing.assert_allclose(mine, theirs.T, atol=1e-5)


def test_povey_agrees_with_the_reference(vectors: Any) -> None:
    reference = vectors.reference("beats")
    for index, (length, seed) in enumerate(reference["waves"].tolist()):
        fbank = kaldi_fbank(
            vectors.inputs.waveform(length, 16_000, seed) * np.float32(32_768), window="povey"
        )
        mine = (fbank - 15.41663) / (2 * 6.55582)
        key = f"wav{index}_fbank"
        vectors.assert_close("beats", key, mine[::8], reference[key])


def test_frames_lie_inside_the_sound() -> None:
    for samples, frames in ((0, 0), (399, 0), (400, 1), (559, 1), (560, 2)):
        assert kaldi_fbank(noise(samples), window="povey").shape == (frames, 128)


def test_silence_and_a_constant_are_the_floor() -> None:
    for samples in (np.zeros(800, np.float32), np.full(800, 0.5, np.float32)):
        np.testing.assert_allclose(kaldi_fbank(samples, window="hanning"), np.log(ENERGY_FLOOR), rtol=1e-6)
