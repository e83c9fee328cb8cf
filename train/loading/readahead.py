"""One pass over an order of samples: read ahead by threads, a few blocks in memory at a time."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from extract.errors import UsageError
from extract.options import Checked, Positive, Range, Seed
from train.loading.batch import Batch
from train.loading.collate import Change, Unit, Video, collate, read_unit
from train.loading.features import FeatureSet, FeatureTable
from train.loading.memory import Arrays
from train.loading.order import Order
from train.loading.steps import Steps

_AHEAD = 4  # batches that are padded before they are asked for
_MOST_FREE_BYTES = 256 << 20  # of what one block or batch leaves, for the next

Place = tuple[int, int, int]  # consecutive samples of a block: its number, from, to


@dataclass(frozen=True)
class Stream(Checked):
    """How a store is read.

    ``steps``: which of an expert's steps (default: all). ``buffer_bytes``: vectors in memory, in two blocks;
    samples are shuffled within a block, so this and ``seed`` decide the order, ``threads`` (0: one for each
    core, up to 8) do not. Of several processes each reads its own part of the order (``rank`` of ``ranks``).
    ``pin``: batches are in page-locked memory, for a GPU.
    """

    batch_size: Positive = 32
    steps: Mapping[str, Steps] = field(default_factory=dict)
    seed: Seed = 0
    buffer_bytes: Positive = 512 << 20
    threads: Annotated[int, Range(at_least=0)] = 0
    rank: int = 0
    ranks: int = 1
    pin: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.rank < self.ranks:
            raise UsageError(f"rank {self.rank} of {self.ranks}: ranks count from 0")

    @property
    def reading_threads(self) -> int:
        return self.threads or min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Samples:
    """Some videos of a store, by number: their ids, their places in ``features.ids``, their labels."""

    features: FeatureSet
    ids: tuple[str, ...]
    places: NDArray[np.int64]
    labels: Tensor | None = None

    def sizes(self, steps: Mapping[str, Steps]) -> NDArray[np.int64]:
        """Bytes of each sample in memory."""
        total = np.zeros(len(self.ids), np.int64)
        for name, table in self.features.read.items():
            chosen = steps.get(name, Steps())
            kept = chosen.kept(table.steps[self.places])
            width = 4 if chosen.mean else table.dtype.itemsize
            total += (table.dim * width + 8) * (np.minimum(kept, 1) if chosen.mean else kept)
        return total


class ReadAhead:
    """Blocks are asked for in their order and freed when the last batch that needs them is padded."""

    def __init__(
        self,
        samples: Samples,
        stream: Stream,
        blocks: Sequence[Order],
        *,
        epoch: int,
        change: Change | None = None,
    ) -> None:
        self._samples, self._stream, self._epoch, self._change = samples, stream, epoch, change
        self._blocks = blocks
        sizes = samples.sizes(stream.steps)
        self._sizes = [int(sizes[block].sum()) for block in blocks]
        self._open: dict[int, _Block] = {}
        self._asked = self._held_bytes = 0
        threads = stream.reading_threads
        self._arrays = Arrays(_MOST_FREE_BYTES)
        self._readers = ThreadPoolExecutor(threads, "read")
        self._padders = torch_threads(threads, "pad")

    def batches(self) -> Iterator[Batch]:
        waiting: deque[tuple[Future[Batch], Place]] = deque()
        try:
            for places in self._places():
                while self._asked <= places[-1][0]:
                    if waiting and not self._fits():
                        yield self._take(*waiting.popleft())
                    else:
                        self._ask()
                waiting.append((self._padders.submit(self._pad, places), places[-1]))
                while self._asked < len(self._blocks) and self._fits():
                    self._ask()
                if len(waiting) > _AHEAD:
                    yield self._take(*waiting.popleft())
            while waiting:
                yield self._take(*waiting.popleft())
        finally:
            for pool in (self._padders, self._readers):
                pool.shutdown(wait=True, cancel_futures=True)

    def _places(self) -> Iterator[list[Place]]:
        """What each batch is made of."""
        size = self._stream.batch_size
        places: list[Place] = []
        room = size
        for number, block in enumerate(self._blocks):
            start = 0
            while start < len(block):
                stop = min(len(block), start + room)
                places.append((number, start, stop))
                room -= stop - start
                start = stop
                if not room:
                    yield places
                    places, room = [], size
        if places:
            yield places

    def _fits(self) -> bool:
        return self._held_bytes + self._sizes[self._asked] <= self._stream.buffer_bytes

    def _ask(self) -> None:
        number = self._asked
        self._open[number] = _Block(self._samples, self._blocks[number])
        self._open[number].ask(self._readers, self._stream, self._epoch, self._arrays)
        self._held_bytes += self._sizes[number]
        self._asked += 1

    def _take(self, future: Future[Batch], end: Place) -> Batch:
        batch = future.result()
        number, _, stop = end
        over = number + (stop == len(self._blocks[number]))
        for done in [n for n in self._open if n < over]:
            del self._open[done]
            self._held_bytes -= self._sizes[done]
        return batch

    def _pad(self, places: Sequence[Place]) -> Batch:
        samples = self._samples
        chosen = np.concatenate([self._blocks[n][start:stop] for n, start, stop in places])
        videos = {
            expert: [self._open[n].video(expert, i) for n, start, stop in places for i in range(start, stop)]
            for expert in samples.features.read
        }
        dims = {name: table.dim for name, table in samples.features.read.items()}
        labels = None if samples.labels is None else samples.labels[chosen]
        ids = [samples.ids[i] for i in chosen]
        batch = collate(ids, videos, dims, labels, arrays=self._arrays, change=self._change)
        return batch.pin_memory() if self._stream.pin else batch


def torch_threads(count: int, name: str) -> ThreadPoolExecutor:
    """Threads in each of which torch works alone; by default each would start as many as there are cores."""
    others = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, name, initializer=_alone)
    started = threading.Barrier(count)
    for future in [pool.submit(started.wait) for _ in range(count)]:
        future.result()
    torch.set_num_threads(others)  # what threads that start later have
    return pool


def _alone() -> None:
    torch.get_num_threads()  # a thread that asks for the first time takes the number of the whole process
    torch.set_num_threads(1)
    assert torch.get_num_threads() == 1


def by_part(table: FeatureTable, places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Which of these ``places`` lie in one part, in the order of its rows; those in none are left out."""
    parts = table.part[places]
    order = np.lexsort((places, parts))
    groups = np.split(order, np.flatnonzero(np.diff(parts[order])) + 1)
    return [group for group in groups if len(group) and parts[group[0]] >= 0]


class _Block:
    """The samples that are read together, each part once."""

    def __init__(self, samples: Samples, order: Order) -> None:
        self._samples, self._order = samples, order
        self._units: dict[str, list[Future[Unit]]] = {}
        self._where: dict[str, NDArray[np.int64]] = {}  # (samples, 2): unit, and number in it; -1: in none

    def ask(self, readers: ThreadPoolExecutor, stream: Stream, epoch: int, arrays: Arrays) -> None:
        places = self._samples.places[self._order]
        for name, table in self._samples.features.read.items():
            where = self._where[name] = np.full((len(places), 2), -1)
            units = self._units[name] = []
            for group in by_part(table, places):
                where[group, 0], where[group, 1] = len(units), np.arange(len(group))
                ids = [self._samples.features.ids[place] for place in places[group]]
                steps = stream.steps.get(name, Steps())
                draw = (stream.seed, epoch)
                units.append(readers.submit(read_unit, table, places[group], ids, steps, draw, arrays))

    def video(self, expert: str, index: int) -> Video | None:
        """Vectors and times of one sample; waits until they are read."""
        unit, number = self._where[expert][index]
        return None if unit < 0 else self._units[expert][unit].result().video(number)
