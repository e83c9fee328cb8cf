"""Voice activity in a stream of 16 kHz audio: silero-vad's published network on onnxruntime, no torch."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extract.errors import MissingDependency, to_install

SAMPLE_RATE = 16_000
FRAME = 512  # samples that the network judges at once
CONTEXT = 64  # samples of the frame before that it sees as well

# Defaults of silero-vad 6.2 (snakers4/silero-vad, utils_vad.py: get_speech_timestamps), in samples.
THRESHOLD = 0.5
NEGATIVE_THRESHOLD = THRESHOLD - 0.15
MIN_SPEECH = SAMPLE_RATE * 250 // 1000
MIN_SILENCE = SAMPLE_RATE * 100 // 1000
MIN_PAUSE = SAMPLE_RATE * 98 // 1000  # the shortest pause at which an overlong stretch is cut
PAD = SAMPLE_RATE * 30 // 1000


@dataclass(frozen=True)
class Stretch:
    """Samples ``start <= i < end`` of the stream hold speech."""

    start: int
    end: int


def model_path() -> Path:
    """The network's file inside the silero-vad wheel, found without importing it (it imports torch).

    Raises MissingDependency if the package or the file is not there.
    """
    spec = importlib.util.find_spec("silero_vad")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "data" / "silero_vad.onnx"
        if path.is_file():
            return path
    raise MissingDependency(f"voice activity detection needs silero-vad: {to_install('whisper')}")


def model_fingerprint() -> str:
    """SHA-256 of the network's file: another release of the wheel may give other stretches."""
    return hashlib.sha256(model_path().read_bytes()).hexdigest()


class SpeechProbability:
    """The probability of speech in consecutive frames of 512 samples; keeps the network's state."""

    def __init__(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(model_path()), options, providers=["CPUExecutionProvider"]
        )
        self._rate = np.array(SAMPLE_RATE, np.int64)
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(CONTEXT, np.float32)

    def __call__(self, frame: NDArray[np.float32]) -> float:
        """``frame`` is float32 (512,) in [-1, 1], the one that follows the last call's."""
        seen = np.concatenate([self._context, frame])[None]
        probability, self._state = self._session.run(
            None, {"input": seen, "state": self._state, "sr": self._rate}
        )
        self._context = frame[-CONTEXT:]
        return float(probability[0, 0])


class SpeechStretches:
    """Stretches of speech from frame probabilities, by the rules of silero-vad's own package.

    Speech starts at a frame of at least ``THRESHOLD`` and ends where the probability stays below
    ``NEGATIVE_THRESHOLD`` for ``MIN_SILENCE``; shorter speech than ``MIN_SPEECH`` is dropped, and
    ``PAD`` is added at both ends. A stretch that would grow longer than ``max_seconds`` is cut in
    its longest pause, or at once where it has none.
    """

    def __init__(self, max_seconds: float) -> None:
        self.position = 0  # samples judged
        self._longest = int(max_seconds * SAMPLE_RATE) - FRAME - 2 * PAD
        self._start: int | None = None
        self._silence: int | None = None  # where the pause that is under way began
        self._pauses: list[Stretch] = []
        self._last_end = 0

    @property
    def earliest_start(self) -> int:
        """No stretch that is still to come starts before this sample."""
        start = self.position if self._start is None else self._start
        return max(self._last_end, start - PAD)

    def push(self, probability: float) -> list[Stretch]:
        """Judge the next frame; return the stretches that are now complete."""
        now, self.position = self.position, self.position + FRAME
        loud = probability >= THRESHOLD
        if loud and self._silence is not None:
            if now - self._silence > MIN_PAUSE:
                self._pauses.append(Stretch(self._silence, now))
            self._silence = None
        if self._start is None:
            if loud:
                self._start = now
            return []
        done = self._cut(now) if now - self._start > self._longest else []
        if probability < NEGATIVE_THRESHOLD and self._start is not None:
            self._silence = now if self._silence is None else self._silence
            if now - self._silence >= MIN_SILENCE:
                done += self._close(self._silence, shortest=MIN_SPEECH)
        return done

    def finish(self, samples: int) -> list[Stretch]:
        """The stream ended after ``samples`` samples: return the stretch that was still open."""
        return [] if self._start is None else self._close(samples, shortest=MIN_SPEECH, limit=samples)

    def _cut(self, now: int) -> list[Stretch]:
        """End an overlong stretch in its longest pause and go on after it, or end it here."""
        if not self._pauses:
            return self._close(now)
        pause = max(self._pauses, key=lambda p: p.end - p.start)
        done = self._close(pause.start)
        self._start = pause.end
        return done

    def _close(self, end: int, *, shortest: int = -1, limit: int | None = None) -> list[Stretch]:
        assert self._start is not None
        start, self._start = self._start, None
        self._silence, self._pauses = None, []
        if end - start <= shortest:
            return []
        padded = Stretch(max(self._last_end, start - PAD), end + PAD if limit is None else limit)
        self._last_end = padded.end
        return [padded]


class SpeechDetector:
    """Stretches of speech in 16 kHz mono audio that arrives in blocks of any size.

    The stretches do not overlap, come in order, and are at most ``max_seconds`` long. Memory is
    that of one frame: the samples themselves are the caller's to keep, from ``earliest_start`` on.
    """

    def __init__(self, *, max_seconds: float) -> None:
        self._probability = SpeechProbability()
        self._stretches = SpeechStretches(max_seconds)
        self._rest = np.zeros(0, np.float32)

    @property
    def earliest_start(self) -> int:
        """No stretch that is still to come starts before this sample."""
        return self._stretches.earliest_start

    def push(self, samples: NDArray[np.float32]) -> list[Stretch]:
        """Take the next samples, float32 (n,) in [-1, 1]; return the stretches that are now complete."""
        waiting = np.concatenate([self._rest, samples])
        whole = len(waiting) // FRAME * FRAME
        self._rest = waiting[whole:]
        frames = waiting[:whole].reshape(-1, FRAME)
        return [stretch for frame in frames for stretch in self._stretches.push(self._probability(frame))]

    def finish(self) -> list[Stretch]:
        """The stream is over: return the remaining stretches."""
        samples = self._stretches.position + len(self._rest)
        missing = -len(self._rest) % FRAME  # the last frame is padded with silence
        done = self.push(np.zeros(missing, np.float32)) if missing else []
        done += self._stretches.finish(samples)
        return [Stretch(stretch.start, min(stretch.end, samples)) for stretch in done]
