"""Chunks: what joins, what is cut, and that samples and times belong together."""

from __future__ import annotations

import numpy as np

from extract.ops.sound.speech_chunks import Chunk, EverySample, SpeechChunks
from extract.ops.sound.vad import SAMPLE_RATE, Stretch
from extract.types import AudioBlock

ORIGIN = 100.0  # where the video's clock starts


class Scripted:
    """A detector that knows the stretches beforehand, in seconds, and reports each once it is over."""

    def __init__(self, *stretches: tuple[float, float]) -> None:
        self._left = [Stretch(int(a * SAMPLE_RATE), int(b * SAMPLE_RATE)) for a, b in stretches]
        self._seen = 0

    @property
    def earliest_start(self) -> int:
        return min(self._left[0].start, self._seen) if self._left else self._seen

    def push(self, samples: np.ndarray) -> list[Stretch]:
        self._seen += len(samples)
        done = [s for s in self._left if s.end <= self._seen]
        self._left = self._left[len(done) :]
        return done

    def finish(self) -> list[Stretch]:
        done, self._left = self._left, []
        return done


def ramp(seconds: float) -> np.ndarray:
    """Every sample tells its own number, in units of 16-bit audio."""
    return ((np.arange(int(seconds * SAMPLE_RATE)) % 30000) / 32768).astype(np.float32)


def cut(chunks: SpeechChunks, samples: np.ndarray, block: int = 7000) -> list[Chunk]:
    found = []
    for start in range(0, len(samples), block):
        part = samples[start : start + block]
        found += chunks.push(AudioBlock(part, SAMPLE_RATE, ORIGIN + start / SAMPLE_RATE))
    return found + chunks.finish()


def spans(chunks: list[Chunk]) -> list[tuple[float, float]]:
    return [(round(c.start_seconds - ORIGIN, 3), round(c.end_seconds - ORIGIN, 3)) for c in chunks]


def test_near_stretches_join_and_far_ones_do_not() -> None:
    chunks = cut(SpeechChunks(Scripted((1, 3), (6, 8), (14, 15))), ramp(20))
    assert spans(chunks) == [(1, 8), (14, 15)]


def test_a_chunk_never_spans_more_than_thirty_seconds() -> None:
    chunks = cut(SpeechChunks(Scripted((0, 12), (13, 25), (26, 33), (34, 64))), ramp(70))
    assert spans(chunks) == [(0, 25), (26, 33), (34, 64)]


def test_chunks_reach_a_little_around_speech_and_never_overlap() -> None:
    scripted = Scripted((0.1, 3), (9, 21), (21.5, 39), (45, 49.9))
    chunks = cut(SpeechChunks(scripted, margin_seconds=0.4), ramp(50))
    assert spans(chunks) == [(0, 3.4), (8.6, 21.4), (21.4, 39.4), (44.6, 50)]


def test_a_margin_does_not_reach_into_the_next_chunk() -> None:
    scripted = Scripted((2, 21), (21.1, 40), (40.2, 45))
    chunks = cut(SpeechChunks(scripted, margin_seconds=0.4), ramp(50))
    assert spans(chunks) == [(1.6, 21.1), (21.1, 45.4)]
    assert all(len(chunk.samples) <= 30 * SAMPLE_RATE for chunk in chunks)


def test_a_chunk_holds_the_samples_of_its_span() -> None:
    samples = ramp(20)
    for chunk in cut(SpeechChunks(Scripted((1.25, 3), (14.5, 15))), samples):
        first = round((chunk.start_seconds - ORIGIN) * SAMPLE_RATE)
        wanted = np.round(samples[first : first + len(chunk.samples)] * 32768)
        np.testing.assert_array_equal(chunk.samples, wanted)


def test_without_voice_detection_every_sample_is_in_one_chunk() -> None:
    chunks = cut(SpeechChunks(EverySample()), ramp(65.5))
    assert spans(chunks) == [(0, 30), (30, 60), (60, 65.5)]
    assert cut(SpeechChunks(EverySample()), ramp(0)) == []


def test_loud_audio_is_clipped_not_wrapped() -> None:
    chunks = cut(SpeechChunks(EverySample()), np.array([1.5, -1.5, 1.0], np.float32))
    assert chunks[0].samples.tolist() == [32767, -32768, 32767]


def test_memory_does_not_grow_with_the_video() -> None:
    chunks = SpeechChunks(Scripted((1, 2), (3000, 3001)))
    block = np.zeros(SAMPLE_RATE * 10, np.float32)
    for i in range(200):
        chunks.push(AudioBlock(block, SAMPLE_RATE, ORIGIN + 10.0 * i))
        assert sum(len(b.samples) for _, b in chunks._audio._blocks) <= 70 * SAMPLE_RATE


def test_the_rest_of_a_chunk_keeps_its_time() -> None:
    rest = Chunk(np.arange(SAMPLE_RATE, dtype=np.int16), 5.0).after(0.25)
    assert (rest.start_seconds, rest.end_seconds, rest.samples[0]) == (5.25, 6.0, 4000)
