"""Mel filters and cosine transform against librosa and scipy."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest
import scipy.fft
from transformers.audio_utils import mel_filter_bank

from extract.ops.sound.mel import dct_matrix, htk_mel_filters, slaney_mel_filters


@pytest.mark.parametrize(("sample_rate", "n_fft", "bands"), [(44_100, 2048, 40), (16_000, 512, 64)])
def test_filters_equal_librosa(sample_rate: int, n_fft: int, bands: int) -> None:
    mine = slaney_mel_filters(sample_rate=sample_rate, n_fft=n_fft, bands=bands)
    expected = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=bands, dtype=np.float64)
    np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("low", "high"), [(125.0, 7500.0), (0.0, 8000.0)])
def test_filters_on_htks_scale_equal_transformers_and_librosa(low: float, high: float) -> None:
    shape: dict[str, Any] = {"sample_rate": 16_000, "n_fft": 512, "bands": 64, "low_hz": low, "high_hz": high}
    over_mel = mel_filter_bank(257, 64, low, high, 16_000, mel_scale="kaldi", triangularize_in_mel_space=True)
    np.testing.assert_allclose(htk_mel_filters(**shape, straight_in="mel"), over_mel.T, atol=1e-12)
    over_hertz = librosa.filters.mel(
        sr=16_000, n_fft=512, n_mels=64, fmin=low, fmax=high, htk=True, norm=None, dtype=np.float64
    )
    np.testing.assert_allclose(htk_mel_filters(**shape, straight_in="hertz"), over_hertz, atol=1e-9)


def test_cosine_transform_equals_scipy() -> None:
    values = np.random.default_rng(0).normal(size=(5, 40))
    expected = scipy.fft.dct(values, type=2, norm="ortho")[:, :13]
    np.testing.assert_allclose(values @ dct_matrix(40, 13).T, expected, atol=1e-12)
