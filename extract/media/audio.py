"""Decoded audio to mono blocks at the wanted rates, on the container's clock to the sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from extract.media.downmix import mono
from extract.types import AudioBlock, Sound

BLOCK_SECONDS = 1.0  # what is collected before it is resampled and handed on
TOLERANCE_SECONDS = 0.1  # timestamps may jitter this far from the count of samples
LEAST_FRAMES = 8  # of sound, before its timestamps are called wrong
MOST_CUT = 0.5  # of the sound that may overlap what was heard before
MOST_GAPS = 0.25  # of the frames that may have silence before them, if that is ...
MOST_SILENCE = 3.0  # ... so many times as long as all sound


class Resampler:
    """soxr (quality HQ) over a stream of mono samples, which keeps count of time.

    The delay of the filter is taken out by soxr, so the first sample out is at ``start_seconds``
    and ``n`` samples in give ``round(n * rate / input_rate)`` out, give or take one.
    """

    def __init__(self, input_rate: int, sound: Sound, *, start_seconds: float) -> None:
        self.sound = sound
        rate = sound.sample_rate
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
        rate = self.sound.sample_rate
        block = AudioBlock(ready, rate, self._start_seconds + self._given / rate, self.sound.downmix)
        self._given += len(ready)
        return block


class AudioTrack:
    """One audio track: decoded frames in, blocks of about a second of each sound out.

    The clock starts at the first timestamp and then counts samples, so blocks are contiguous to the
    sample. Where timestamps and count part by more than 0.1 s, the timestamps win: a gap is filled with
    silence, an overlap is cut off. What jumps they may make is for :mod:`extract.media.clock` to say.

    Args:
        sounds: each wanted once; one that has the track's own rate is not resampled.
        counted: the container only counts frames itself, so samples alone tell the time.
    """

    def __init__(self, sounds: Sequence[Sound], *, counted: bool = False) -> None:
        self._downmixes = sorted({sound.downmix for sound in sounds})
        self._sounds = sounds
        self._counted = counted
        self._resamplers: list[Resampler] = []
        self._pending: list[NDArray[np.float32]] = []  # (downmixes, samples) each
        self._pending_samples = 0
        self._input_rate = 0
        self._end_seconds: float | None = None  # of all samples so far, pending ones included
        self._frames = self._gaps = 0
        self._heard_seconds = self._cut_seconds = self._silent_seconds = 0.0

    def push(self, frame: av.AudioFrame, shift_seconds: float | None = 0.0) -> Iterator[AudioBlock]:
        """The blocks that are complete with this frame; a shift of None says that its time is damaged."""
        samples = np.stack([mono(frame, downmix) for downmix in self._downmixes])
        seconds = None if frame.time is None or shift_seconds is None else frame.time + shift_seconds
        if self._end_seconds is None:
            self._end_seconds = seconds or 0.0
        if frame.sample_rate != self._input_rate:
            yield from self._restart(frame.sample_rate)
        if seconds is not None and not self._counted:
            ahead = self._seconds_ahead(seconds)
            yield from self._silence(round(max(0.0, ahead) * self._input_rate))
            self._gaps += ahead > 0
            self._cut_seconds += min(max(0.0, -ahead), frame.samples / self._input_rate)
            samples = samples[:, round(max(0.0, -ahead) * self._input_rate) :]
        self._frames += 1
        self._heard_seconds += frame.samples / self._input_rate
        yield from self._add(samples)

    @property
    def refusal(self) -> str | None:
        """Why the timestamps cannot be those of this sound, or None."""
        heard, cut, silent = self._heard_seconds, self._cut_seconds, self._silent_seconds
        if self._frames < LEAST_FRAMES:
            return None
        if cut > MOST_CUT * heard:
            what = f"{cut:.1f} of {heard:.1f} s of its sound overlap"
        elif self._gaps > MOST_GAPS * self._frames and silent > MOST_SILENCE * heard:
            what = f"{silent:.1f} s of silence lie between the {self._frames} frames of its sound"
        else:
            return None
        return f"{what} according to its timestamps: the time scale in its header is damaged, remux the file"

    def finish(self) -> Iterator[AudioBlock]:
        """The rest, at the end of the track."""
        if self._resamplers:
            yield from self._flush(last=True)

    def _seconds_ahead(self, seconds: float) -> float:
        """How far a timestamp is ahead of the samples so far, 0 within the tolerance."""
        assert self._end_seconds is not None
        ahead = seconds - self._end_seconds
        return ahead if abs(ahead) > TOLERANCE_SECONDS else 0.0

    def _silence(self, samples: int) -> Iterator[AudioBlock]:
        while samples > 0:
            part = min(samples, self._input_rate)
            self._silent_seconds += part / self._input_rate
            yield from self._add(np.zeros((len(self._downmixes), part), np.float32))
            samples -= part

    def _add(self, samples: NDArray[np.float32]) -> Iterator[AudioBlock]:
        assert self._end_seconds is not None
        self._pending.append(samples)
        self._pending_samples += samples.shape[1]
        self._end_seconds += samples.shape[1] / self._input_rate
        if self._pending_samples >= BLOCK_SECONDS * self._input_rate:
            yield from self._flush(last=False)

    def _flush(self, *, last: bool) -> Iterator[AudioBlock]:
        samples = np.concatenate(self._pending or [np.zeros((len(self._downmixes), 0), np.float32)], axis=1)
        self._pending, self._pending_samples = [], 0
        for resampler in self._resamplers:
            block = resampler.push(samples[self._downmixes.index(resampler.sound.downmix)], last=last)
            if block is not None:
                yield block

    def _restart(self, input_rate: int) -> Iterator[AudioBlock]:
        """New resamplers, at the first frame and wherever a track changes its rate."""
        yield from self.finish()
        assert self._end_seconds is not None
        self._input_rate = input_rate
        self._resamplers = [
            Resampler(input_rate, sound, start_seconds=self._end_seconds) for sound in self._sounds
        ]
