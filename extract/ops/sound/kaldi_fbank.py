"""Log mel filter banks as Kaldi computes them, in numpy: what BEATs and AST hear.

torchaudio has them too (``compliance.kaldi``), but taps run in decoder processes, which load no torch.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from extract.ops.sound.mel import htk_mel_filters

SAMPLE_RATE = 16_000
FRAME_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 160  # 10 ms
FFT_SIZE = 512
BANDS = 128
LOW_HZ = 20.0
PREEMPHASIS = 0.97
POVEY_POWER = 0.85
ENERGY_FLOOR = float(np.finfo(np.float32).eps)

WindowShape = Literal["povey", "hanning"]


def kaldi_fbank(samples: NDArray[np.float32], *, window: WindowShape) -> NDArray[np.float32]:
    """(n,) at 16 kHz -> (frames, 128) in nepers, frames = 1 + (n - 400) // 160, none below 400 samples.

    ``compute-fbank-feats`` of Kaldi (feat/feature-window.cc, feat/mel-computations.cc) with its
    defaults but 128 bands and no dither, which is also ``torchaudio.compliance.kaldi.fbank``:
    frames inside the signal only, each without its mean, pre-emphasised, under a symmetric window
    (``povey`` is Hann's to the power 0.85), power spectrum, triangles straight over mel from 20 Hz
    to 8 kHz, logarithm with a floor of float32's epsilon. Silence is that floor.
    """
    if len(samples) < FRAME_SAMPLES:
        return np.zeros((0, BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES].astype(
        np.float64
    )
    frames -= frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)  # the first sample stands before itself
    spectrum = np.fft.rfft((frames - PREEMPHASIS * before) * _window(window), FFT_SIZE)
    power = spectrum.real**2 + spectrum.imag**2
    return np.log(np.maximum(power @ _filters(), ENERGY_FLOOR)).astype(np.float32)


@cache
def _window(shape: WindowShape) -> NDArray[np.float64]:
    window = np.hanning(FRAME_SAMPLES)
    if shape == "povey":
        window = window**POVEY_POWER
    window.flags.writeable = False  # shared by all callers
    return window


@cache
def _filters() -> NDArray[np.float64]:
    """(257, 128)"""
    filters = htk_mel_filters(
        sample_rate=SAMPLE_RATE,
        n_fft=FFT_SIZE,
        bands=BANDS,
        low_hz=LOW_HZ,
        high_hz=SAMPLE_RATE / 2,
        straight_in="mel",
    ).T
    filters.flags.writeable = False
    return filters
