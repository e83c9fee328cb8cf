"""Audio in, stretches worth transcribing out: chunks of at most 30 s, the window of Whisper."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from extract.ops.sound.vad import SAMPLE_RATE, SpeechDetector, Stretch
from extract.types import AudioBlock

CHUNK_SECONDS = 30  # Radford et al. 2022 (Whisper), section 2.1
MAX_GAP_SECONDS = 5  # speech after a longer pause gets a chunk of its own
MARGIN_SECONDS = 0.4  # of audio around speech: SYSTRAN/faster-whisper, vad.py (speech_pad_ms)
_WINDOW = CHUNK_SECONDS * SAMPLE_RATE
_MAX_GAP = MAX_GAP_SECONDS * SAMPLE_RATE


@dataclass(frozen=True)
class Chunk:
    """Up to 30 s of consecutive audio: int16 (samples,) at 16 kHz.

    16 bits are what Whisper's own ``load_audio`` decodes to, and half of what crosses to the model.
    """

    samples: NDArray[np.int16]
    start_seconds: float

    @property
    def end_seconds(self) -> float:
        return self.start_seconds + len(self.samples) / SAMPLE_RATE

    def after(self, seconds: float) -> Chunk:
        """What is left of the chunk from ``seconds`` behind its start on."""
        return Chunk(self.samples[round(seconds * SAMPLE_RATE) :], self.start_seconds + seconds)


class StretchFinder(Protocol):
    """Finds stretches in a stream of samples; :class:`extract.ops.sound.vad.SpeechDetector` is one."""

    @property
    def earliest_start(self) -> int: ...

    def push(self, samples: NDArray[np.float32]) -> list[Stretch]: ...

    def finish(self) -> list[Stretch]: ...


class EverySample:
    """The detector that takes all audio for speech: one stretch after another, 30 s each."""

    def __init__(self) -> None:
        self._samples = 0
        self.earliest_start = 0

    def push(self, samples: NDArray[np.float32]) -> list[Stretch]:
        self._samples += len(samples)
        found = []
        while self._samples - self.earliest_start >= _WINDOW:
            found.append(self._until(self.earliest_start + _WINDOW))
        return found

    def finish(self) -> list[Stretch]:
        return [self._until(self._samples)] if self._samples > self.earliest_start else []

    def _until(self, end: int) -> Stretch:
        start, self.earliest_start = self.earliest_start, end
        return Stretch(start, end)


class SpeechChunks:
    """Merges neighbouring stretches of speech into chunks, in one pass over the audio.

    Stretches join, with the pause between them, while they span at most 30 s and the pause is at
    most ``MAX_GAP_SECONDS`` ("Cut & Merge" of Bain et al. 2023, WhisperX, with a limit to the
    music that a chunk may hold). A chunk begins and ends ``margin_seconds`` outside its speech,
    for soft first and last sounds, but overlaps no other. Little more than a minute of audio is kept.
    """

    def __init__(self, detector: StretchFinder, *, margin_seconds: float = 0.0) -> None:
        self._detector = detector
        self._audio = _Audio()
        self._open: Stretch | None = None
        self._margin = int(margin_seconds * SAMPLE_RATE)
        self._longest = _WINDOW - 2 * self._margin
        self._last_end = 0

    @classmethod
    def of_speech(cls) -> SpeechChunks:
        """Chunks around what silero-vad takes for speech."""
        detector = SpeechDetector(max_seconds=CHUNK_SECONDS - 2 * MARGIN_SECONDS)
        return cls(detector, margin_seconds=MARGIN_SECONDS)

    def push(self, block: AudioBlock) -> list[Chunk]:
        """Take 16 kHz audio; return the chunks that can grow no more."""
        self._audio.append(block)
        chunks = [c for stretch in self._detector.push(block.samples) for c in self._merge(stretch)]
        earliest, now = self._detector.earliest_start, self._open
        if now and (earliest - now.end > _MAX_GAP or earliest - now.start >= self._longest):
            chunks += self._flush(earliest)
        kept = self._open.start if self._open else earliest
        self._audio.forget(max(self._last_end, kept - self._margin))
        return chunks

    def finish(self) -> list[Chunk]:
        """The audio is over: return the remaining chunks."""
        chunks = [c for stretch in self._detector.finish() for c in self._merge(stretch)]
        return chunks + self._flush(self._audio.end)

    def _merge(self, stretch: Stretch) -> list[Chunk]:
        before = self._open
        if before and stretch.end - before.start <= self._longest and stretch.start - before.end <= _MAX_GAP:
            self._open = Stretch(before.start, stretch.end)
            return []
        done = self._flush(stretch.start)
        self._open = stretch
        return done

    def _flush(self, limit: int) -> list[Chunk]:
        """Close the open chunk; its margin ends before sample ``limit``."""
        done, self._open = self._open, None
        if done is None:
            return []
        start = max(self._last_end, done.start - self._margin)
        self._last_end = min(limit, done.end + self._margin)
        return [self._audio.cut(Stretch(start, self._last_end))]


class _Audio:
    """The latest blocks of a stream, addressed by sample number."""

    def __init__(self) -> None:
        self._blocks: deque[tuple[int, AudioBlock]] = deque()
        self.end = 0

    def append(self, block: AudioBlock) -> None:
        if len(block.samples):
            self._blocks.append((self.end, block))
            self.end += len(block.samples)

    def forget(self, before: int) -> None:
        while self._blocks and self._blocks[0][0] + len(self._blocks[0][1].samples) <= before:
            self._blocks.popleft()

    def cut(self, stretch: Stretch) -> Chunk:
        parts: list[NDArray[np.float32]] = []
        start_seconds = 0.0
        for first, block in self._blocks:
            skipped = max(0, stretch.start - first)
            part = block.samples[skipped : max(0, stretch.end - first)]
            if len(part):
                start_seconds = start_seconds if parts else block.start_seconds + skipped / SAMPLE_RATE
                parts.append(part)
        samples = np.clip(np.rint(np.concatenate(parts) * 32768), -32768, 32767)
        return Chunk(samples.astype(np.int16), start_seconds)
