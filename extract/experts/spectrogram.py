"""Spectrograms of 3 s for CTT-MMC-S (Wehrmann and Barros 2017, Applied Soft Computing 61).

The paper gives 44.1 kHz, 3 s without overlap and 130 x 513 values. 513 bins are an FFT of 1024
samples; a hop of 1024 with centred frames is the round number that makes 130 frames of 132,300
samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from extract.expert import Embedding, Expert, Streams, TableSpec, Tap
from extract.ops.sound.spectrogram import Padding, magnitude_spectrogram
from extract.ops.sound.windows import AudioWindows, Window
from extract.types import AudioBlock, Item, MediaInfo

SAMPLE_RATE = 44_100
WINDOW_SAMPLES = 3 * SAMPLE_RATE
N_FFT = 1024
HOP = 1024
SHAPE = (1 + WINDOW_SAMPLES // HOP, 1 + N_FFT // 2)  # (130, 513)
DB_FLOOR = -100.0  # librosa's amin of 1e-5

Scale = Literal["amplitude", "db"]


@dataclass(frozen=True)
class SpectrogramOptions:
    """How a spectrogram is written.

    ``scale``: the paper speaks of amplitude and does not say whether on a linear scale;
    ``"db"`` is 20 log10 of it. ``padding``: what stands before and after each 3 s, zeros as in
    librosa since 0.10 or the mirrored signal as in the librosa of the paper's time. It touches
    the first and the last of the 130 frames only.
    """

    scale: Scale = "amplitude"
    padding: Padding = "zero"

    def __post_init__(self) -> None:
        for name, allowed in (("scale", get_args(Scale)), ("padding", get_args(Padding))):
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")


class Spectrogram(Expert):
    """``embedding`` (130, 513): frames of 23 ms by bins of 43 Hz, 0 to 22,050 Hz.

    The input of CTT-MMC-S (Wehrmann and Barros 2017), of each 3 s of mono sound at 44.1 kHz. Amplitudes are
    sums over a Hann window, 0 to 512 for samples in [-1, 1]. float16 holds them: its smallest step, 6e-8, is
    a thousandth of the rounding noise of 16-bit sound. A last window of less than 3 s is filled up with zeros
    and ends where the sound ends. No mean is subtracted: that is the trainer's, over its training set.
    """

    summary = "magnitude spectrograms of 3 s (CTT-MMC-S)"
    cites = ("wehrmann2017",)
    Options = SpectrogramOptions
    lane = "none"
    empty_reason = "no sound"

    def tables(self) -> Mapping[str, TableSpec]:
        return {self.name: TableSpec(embedding=Embedding(SHAPE))}

    def streams(self) -> Streams:
        return Streams(audio_rate=SAMPLE_RATE)

    def tap(self, media: MediaInfo) -> Tap:
        return _SpectrogramTap(self.options)


class _SpectrogramTap(Tap):
    def __init__(self, options: SpectrogramOptions) -> None:
        self._options = options
        self._windows = AudioWindows(WINDOW_SAMPLES, WINDOW_SAMPLES, sample_rate=SAMPLE_RATE)

    def audio(self, block: AudioBlock) -> Iterable[Item]:
        return [self._item(window) for window in self._windows.push(block)]

    def close(self) -> Iterable[Item]:
        return [self._item(window) for window in self._windows.flush()]

    def _item(self, window: Window) -> Item:
        values = magnitude_spectrogram(window.samples, n_fft=N_FFT, hop=HOP, padding=self._options.padding)
        if self._options.scale == "db":
            values = decibels(values)
        return Item(window.start_seconds, window.end_seconds, {"embedding": values})


def decibels(amplitude: NDArray[np.float32]) -> NDArray[np.float32]:
    """20 log10 of amplitudes, none below -100 dB; no ceiling relative to the loudest value."""
    with np.errstate(divide="ignore"):
        values = np.maximum(20 * np.log10(amplitude), DB_FLOOR)
    return np.asarray(values, np.float32)
