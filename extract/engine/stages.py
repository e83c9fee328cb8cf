"""The three steps of staged models side by side, on an accelerator.

While the device computes a part of a batch, the next one is stacked, pinned and copied there, and the rows of
the one before are copied back and made. On a CPU, where all steps want the same cores, models are called.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from extract.engine.batches import RequestBatch
from extract.engine.machine import Machine
from extract.engine.requests import QueuedItem
from extract.ops.network.device import is_out_of_memory
from extract.ops.network.device_errors import as_device_error
from extract.ops.network.staged import StagedModel
from extract.types import Item, Row

AHEAD = 2  # parts that are stacked and not yet computed: one is being computed, one is ready
BATCHES = AHEAD + 1  # at a time, where each is one part: of one more the rows are made

ItemBatch = RequestBatch[QueuedItem, list[Row]]


@dataclass
class _Job:
    """A batch on its way; the first error of a part is the batch's."""

    batch: ItemBatch
    model: StagedModel
    parts_left: int
    rows: list[list[Row]]  # of each item
    error: Exception | None = None


@dataclass
class _Part:
    job: _Job
    start: int  # among the batch's items; two threads hand parts on, so they may overtake each other
    items: Sequence[Item]
    values: Any = None  # what goes from step to step

    def attempt(self, step: Callable[[], Any]) -> None:
        """A step of this part, unless the batch has failed already."""
        try:
            self.values = step() if self.job.error is None else None
        except Exception as error:
            self.job.error, self.values = error, None


class Stages:
    """A thread for each of the three steps; the device's is :class:`extract.engine.lanes.Lanes`' own.

    ``on_device`` runs a job in the device's thread, after what is urgent there. ``alone`` computes a batch
    the simple way, in the same thread: one of which a part did not fit the memory, which cuts it smaller.
    """

    def __init__(
        self,
        machine: Machine,
        device: str,
        *,
        on_device: Callable[[Callable[[], None]], None],
        alone: Callable[[ItemBatch], None],
    ) -> None:
        self._now = machine.now
        self._streams = machine.streams(device)
        self._stacking, self._reading = machine.pool("stack", 1), machine.pool("rows", 1)
        self._on_device, self._alone = on_device, alone
        self._lock = threading.Lock()
        self._waiting: deque[_Part] = deque()
        self._ahead = 0

    def start(self, batch: ItemBatch, model: StagedModel) -> None:
        items = [queued.item for queued in batch.requests]
        size = min(batch.queue.part_items(), model.items_at_once)
        starts = range(0, len(items), size)
        job = _Job(batch, model, len(starts), [[] for _ in items])
        with self._lock:
            self._waiting += [_Part(job, start, items[start : start + size]) for start in starts]
        self._advance()

    def stop_stacking(self) -> None:
        """The first half of closing, before the device's thread ends."""
        self._stacking.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        self._reading.shutdown(wait=True, cancel_futures=True)

    def _advance(self) -> None:
        """Stack the next part if there is a buffer for it."""
        with self._lock:
            if self._ahead == AHEAD or not self._waiting:
                return
            self._ahead += 1
            part = self._waiting.popleft()
        self._stacking.submit(self._stack, part)

    def _stack(self, part: _Part) -> None:
        part.attempt(lambda: self._streams.upload(part.job.model.stack(part.items)))
        self._on_device(lambda: self._compute(part))
        self._advance()

    def _compute(self, part: _Part) -> None:
        started = self._now()
        part.attempt(lambda: self._streams.compute(part.job.model, part.values))
        part.job.batch.count(len(part.items), self._now() - started)
        with self._lock:
            self._ahead -= 1
        self._reading.submit(self._read, part)
        self._advance()

    def _read(self, part: _Part) -> None:
        job = part.job
        part.attempt(lambda: self._rows(part))
        job.parts_left -= 1
        if not job.parts_left:
            self._end(job)

    def _rows(self, part: _Part) -> None:
        job, items = part.job, part.items
        rows = job.model.rows(items, self._streams.download(part.values))
        job.rows[part.start : part.start + len(items)] = job.batch.queue.checked(rows, len(items))

    def _end(self, job: _Job) -> None:
        error, job.error = job.error, None  # an error that is held keeps its tensors in use
        if error is None:
            job.batch.results = job.rows
        elif is_out_of_memory(error):
            del error
            self._on_device(lambda: self._alone(job.batch))
            return
        else:
            job.batch.error = as_device_error(error)
        job.batch.report()
