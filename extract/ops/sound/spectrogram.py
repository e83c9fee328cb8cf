"""Magnitudes of the short-time Fourier transform, framed as librosa frames a clip."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Padding = Literal["zero", "reflect"]


def magnitude_spectrogram(
    samples: NDArray[np.float32], *, n_fft: int, hop: int, padding: Padding = "zero"
) -> NDArray[np.float32]:
    """|STFT| of one clip: float32 (1 + samples // hop, n_fft // 2 + 1), frames first.

    Periodic Hann window, frame ``t`` centred on sample ``t * hop`` after padding ``n_fft // 2``
    samples at both ends: ``abs(librosa.stft(samples, n_fft=n_fft, hop_length=hop)).T``, with zeros
    as librosa pads since 0.10 or the mirrored signal as it did before.

    Raises:
        ValueError: if ``samples`` is not one-dimensional or too short for ``padding="reflect"``.
    """
    half = n_fft // 2
    if samples.ndim != 1 or (padding == "reflect" and len(samples) <= half):
        raise ValueError(
            f"samples must be (n,), with n > {half} for reflected padding: {samples.shape = }, {padding = }"
        )
    padded = np.pad(samples, half, mode="constant" if padding == "zero" else "reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    return np.abs(np.fft.rfft(frames * hann(n_fft))).astype(np.float32)


@cache
def hann(length: int) -> NDArray[np.float32]:
    """The periodic Hann window, float32 (length,)."""
    window = np.hanning(length + 1)[:-1].astype(np.float32)
    window.flags.writeable = False  # shared by all callers
    return window
