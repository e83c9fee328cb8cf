"""Chunks of speech as items, and back: between the decoder and Whisper."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from extract.declarations import Tap
from extract.ops.sound.speech_chunks import Chunk, EverySample, SpeechChunks
from extract.types import AudioBlock, Item


class SpeechTap(Tap):
    """Gathers up to ``group`` chunks of speech into an item: the unit that has one language.

    An item's arrays: ``samples`` int16 (n,) at 16 kHz, the chunks one after another; ``lengths``
    int64 (chunks,) in samples; ``starts`` float64 (chunks,) in seconds.
    """

    def __init__(self, *, vad: bool, group: int) -> None:
        self._cutter = SpeechChunks.of_speech() if vad else SpeechChunks(EverySample())
        self._group = group
        self._chunks: list[Chunk] = []

    def audio(self, block: AudioBlock) -> Iterable[Item]:
        return self._gather(self._cutter.push(block))

    def close(self) -> Iterable[Item]:
        items = self._gather(self._cutter.finish())
        return items + self._emit()

    def _gather(self, chunks: Sequence[Chunk]) -> list[Item]:
        items = []
        for chunk in chunks:
            self._chunks.append(chunk)
            if len(self._chunks) == self._group:
                items += self._emit()
        return items

    def _emit(self) -> list[Item]:
        chunks, self._chunks = self._chunks, []
        if not chunks:
            return []
        arrays = {
            "samples": np.concatenate([chunk.samples for chunk in chunks]),
            "lengths": np.array([len(chunk.samples) for chunk in chunks], np.int64),
            "starts": np.array([chunk.start_seconds for chunk in chunks], np.float64),
        }
        return [Item(chunks[0].start_seconds, chunks[-1].end_seconds, arrays)]


def chunks_of(item: Item) -> Iterator[Chunk]:
    """The chunks that :class:`SpeechTap` put into an item."""
    ends = np.cumsum(item.arrays["lengths"])
    for samples, start in zip(
        np.split(item.arrays["samples"], ends[:-1]), item.arrays["starts"], strict=True
    ):
        yield Chunk(samples, float(start))
