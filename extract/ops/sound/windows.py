"""Fixed windows over a stream of audio, each with its place on the presentation clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from extract.types import AudioBlock

GAP_SECONDS = 0.05  # blocks that fit this closely are one run of samples


@dataclass(frozen=True)
class Window:
    """``samples`` is float32 (window_samples,); the interval is what of it was really heard."""

    start_seconds: float
    end_seconds: float
    samples: NDArray[np.float32]


class AudioWindows:
    """Cuts blocks into windows of ``window_samples`` that start every ``hop_samples``.

    Memory is bounded by one window and one block. When a run of samples ends, what no window has
    covered yet becomes a last window, padded with zeros to full length; its ``end_seconds`` is
    the end of the sound. That remainder is kept if it has ``minimum_samples`` or is the run's
    only sound, else the window is moved back in time to end with the sound, so that nothing is
    left out either way. A run also ends where the audio jumps by more than GAP_SECONDS.
    """

    # Sample numbers count from the start of the run; the buffer begins at number _base.
    _start_seconds: float
    _buffer: NDArray[np.float32]
    _base: int
    _next: int  # where the next window starts
    _covered: int  # up to where windows have covered the run
    _length: int

    def __init__(
        self, window_samples: int, hop_samples: int, *, sample_rate: int, minimum_samples: int = 1
    ) -> None:
        if not 0 < hop_samples <= window_samples:
            raise ValueError(f"0 < hop <= window is needed: {hop_samples = }, {window_samples = }")
        if not 0 < minimum_samples <= window_samples:
            raise ValueError(f"0 < minimum <= window is needed: {minimum_samples = }, {window_samples = }")
        self.window_samples = window_samples
        self.hop_samples = hop_samples
        self.sample_rate = sample_rate
        self.minimum_samples = minimum_samples
        self._new_run(0.0)

    def push(self, block: AudioBlock) -> list[Window]:
        """Take the next samples; returns the windows that are now complete."""
        if block.sample_rate != self.sample_rate:
            raise ValueError(f"{block.sample_rate = }, but these windows are of {self.sample_rate} Hz")
        if not len(block.samples):
            return []
        windows = []
        if self._length == 0:
            self._new_run(block.start_seconds)
        elif abs(block.start_seconds - self._seconds(self._length)) > GAP_SECONDS:
            windows = self.flush()
            self._new_run(block.start_seconds)
        self._buffer = np.concatenate([self._buffer, block.samples])
        self._length += len(block.samples)
        return windows + self._complete()

    def flush(self) -> list[Window]:
        """End the run of samples: the last, partial window, if anything is left for it."""
        first, end = self._next, self._length
        windows = []
        if end > self._covered:
            if end - first < self.minimum_samples:
                first = max(0, end - self.window_samples)
            heard = self._buffer[first - self._base : end - self._base]
            samples = np.zeros(self.window_samples, np.float32)
            samples[: len(heard)] = heard
            windows.append(Window(self._seconds(first), self._seconds(end), samples))
        self._new_run(0.0)
        return windows

    def _complete(self) -> list[Window]:
        windows = []
        while self._length >= self._next + self.window_samples:
            at = self._next - self._base
            samples = self._buffer[at : at + self.window_samples].copy()
            self._covered = self._next + self.window_samples
            windows.append(Window(self._seconds(self._next), self._seconds(self._covered), samples))
            self._next += self.hop_samples
        # one window before the end stays, should the last one have to move back
        keep = max(self._base, min(self._next, self._length - self.window_samples))
        self._buffer = self._buffer[keep - self._base :].copy()
        self._base = keep
        return windows

    def _seconds(self, sample: int) -> float:
        return self._start_seconds + sample / self.sample_rate

    def _new_run(self, start_seconds: float) -> None:
        self._start_seconds = start_seconds
        self._buffer = np.zeros(0, np.float32)
        self._base = self._next = self._covered = self._length = 0
