"""Mel filters and cosine transform against librosa and scipy."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.fft

from extract.ops.mel import dct_matrix, slaney_mel_filters


@pytest.mark.parametrize(("sample_rate", "n_fft", "bands"), [(44_100, 2048, 40), (16_000, 512, 64)])
def test_filters_equal_librosa(sample_rate: int, n_fft: int, bands: int) -> None:
    mine = slaney_mel_filters(sample_rate=sample_rate, n_fft=n_fft, bands=bands)
    expected = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=bands, dtype=np.float64)
    np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-12)


def test_cosine_transform_equals_scipy() -> None:
    values = np.random.default_rng(0).normal(size=(5, 40))
    expected = scipy.fft.dct(values, type=2, norm="ortho")[:, :13]
    np.testing.assert_allclose(values @ dct_matrix(40, 13).T, expected, atol=1e-12)
