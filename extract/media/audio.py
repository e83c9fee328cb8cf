"""Decoded audio to mono blocks at the wanted rates, on the container's clock to the sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from extract.types import AudioBlock

BLOCK_SECONDS = 1.0  # what is collected before it is resampled and handed on
TOLERANCE_SECONDS = 0.1  # timestamps may jitter this far from the count of samples
RESET_SECONDS = 1.0  # a timestamp that falls back further does not mean an overlap
MAX_GAP_SECONDS = 600.0  # nor does one that runs ahead further mean silence


class Resampler:
    """soxr (quality HQ) over a stream of mono samples, which keeps count of time.

    The delay of the filter is taken out by soxr, so the first sample out is at ``start_seconds``
    and ``n`` samples in give ``round(n * rate / input_rate)`` out, give or take one.
    """

    def __init__(self, input_rate: int, rate: int, *, start_seconds: float) -> None:
        self.rate = rate
        self._start_seconds = start_seconds
        self._given = 0
        self._stream = (
            None
            if rate == input_rate
            else soxr.ResampleStream(input_rate, rate, 1, dtype="float32", quality="HQ")
        )

    def push(self, samples: NDArray[np.float32], *, last: bool = False) -> AudioBlock | None:
        """The samples that are ready after these, float32 (n,) in; None if there are none yet."""
        ready = samples if self._stream is None else self._stream.resample_chunk(samples, last=last)
        if not len(ready):
            return None
        block = AudioBlock(ready, self.rate, self._start_seconds + self._given / self.rate)
        self._given += len(ready)
        return block


class AudioTrack:
    """One audio track: decoded frames in, blocks of about a second at each rate out.

    Channels are averaged. The clock starts at the first timestamp and then counts samples, so
    blocks are contiguous to the sample. Where timestamps and count part by more than 0.1 s, the
    timestamps win: a gap is filled with silence, an overlap is cut off. Jumps back by more than
    1 s and ahead by more than 10 min are no gaps but broken or restarted timestamps: the count goes on.

    Args:
        rates: samples per second, each wanted once; one that equals the track's own is not resampled.
    """

    def __init__(self, rates: Sequence[int]) -> None:
        self._rates = rates
        self._resamplers: list[Resampler] = []
        self._pending: list[NDArray[np.float32]] = []
        self._pending_samples = 0
        self._input_rate = 0
        self._end_seconds: float | None = None  # of all samples so far, pending ones included
        self._shift_seconds = 0.0  # timestamps to clock, after a restart

    def push(self, frame: av.AudioFrame) -> Iterator[AudioBlock]:
        """The blocks that are complete with this frame."""
        samples = mono(frame)
        seconds = frame.time
        if self._end_seconds is None:
            self._end_seconds = seconds or 0.0
        if frame.sample_rate != self._input_rate:
            yield from self._restart(frame.sample_rate)
        if seconds is not None:
            ahead = self._seconds_ahead(seconds)
            yield from self._silence(round(max(0.0, ahead) * self._input_rate))
            samples = samples[round(max(0.0, -ahead) * self._input_rate) :]
        yield from self._add(samples)

    def finish(self) -> Iterator[AudioBlock]:
        """The rest, at the end of the track."""
        if self._resamplers:
            yield from self._flush(last=True)

    def _seconds_ahead(self, seconds: float) -> float:
        """How far a timestamp is ahead of the samples so far, 0 within the tolerance."""
        assert self._end_seconds is not None
        ahead = seconds + self._shift_seconds - self._end_seconds
        if not -RESET_SECONDS <= ahead <= MAX_GAP_SECONDS:
            self._shift_seconds -= ahead
            return 0.0
        return ahead if abs(ahead) > TOLERANCE_SECONDS else 0.0

    def _silence(self, samples: int) -> Iterator[AudioBlock]:
        while samples > 0:
            part = min(samples, self._input_rate)
            yield from self._add(np.zeros(part, np.float32))
            samples -= part

    def _add(self, samples: NDArray[np.float32]) -> Iterator[AudioBlock]:
        assert self._end_seconds is not None
        self._pending.append(samples)
        self._pending_samples += len(samples)
        self._end_seconds += len(samples) / self._input_rate
        if self._pending_samples >= BLOCK_SECONDS * self._input_rate:
            yield from self._flush(last=False)

    def _flush(self, *, last: bool) -> Iterator[AudioBlock]:
        samples = np.concatenate(self._pending) if self._pending else np.zeros(0, np.float32)
        self._pending, self._pending_samples = [], 0
        for resampler in self._resamplers:
            block = resampler.push(samples, last=last)
            if block is not None:
                yield block

    def _restart(self, input_rate: int) -> Iterator[AudioBlock]:
        """New resamplers, at the first frame and wherever a track changes its rate."""
        yield from self.finish()
        assert self._end_seconds is not None
        self._input_rate = input_rate
        self._resamplers = [
            Resampler(input_rate, rate, start_seconds=self._end_seconds) for rate in self._rates
        ]


def mono(frame: av.AudioFrame) -> NDArray[np.float32]:
    """The mean of the channels, float32 (samples,) in [-1, 1].

    Damaged float audio decodes to any number: NaN becomes silence, what is too loud full scale.
    """
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    middle = 128 if values.dtype == np.uint8 else 0
    full_scale = 1.0 if values.dtype.kind == "f" else 2.0 ** (8 * values.dtype.itemsize - 1)
    scaled = (values.astype(np.float32) - middle) / full_scale
    samples = np.clip(np.nan_to_num(scaled.mean(axis=0, dtype=np.float32)), -1.0, 1.0)
    return cast("NDArray[np.float32]", samples)
