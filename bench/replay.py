"""One half of a run at a time: decoders without models, then the same work for models without decoders.

Both halves are the engine's own code. A :class:`Recorder` around the models of a first, whole run
keeps what they were given. :func:`decode_only` runs an engine whose models throw items away and
whose shot network answers from the record; :func:`compute_only` puts the record into the lanes.
"""

from __future__ import annotations

import hashlib
import queue
import resource
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extract.engine.batches import LaneName, Request, RequestBatch, Result
from extract.engine.engine import Engine
from extract.engine.lanes import Lanes
from extract.engine.ledger import VideoLedger
from extract.engine.models import Models
from extract.engine.requests import QueuedItem, WindowRequest
from extract.engine.settings import EngineSettings
from extract.engine.task import VideoTask
from extract.expert import Model
from extract.selection import Selection
from extract.types import Item, Row


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, and of processor time in this process and its children that have ended."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @classmethod
    def now(cls) -> Cost:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return cls(time.perf_counter(), sum(u.ru_utime + u.ru_stime for u in used))

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.seconds - other.seconds, self.cpu_seconds - other.cpu_seconds)


@dataclass(frozen=True)
class Record:
    """What crossed from the decoders to the models, and in batches of how many items; held in memory."""

    items: dict[str, list[Item]] = field(default_factory=lambda: defaultdict(list))
    batches: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    windows: list[NDArray[np.uint8]] = field(default_factory=list)
    answers: dict[bytes, NDArray[np.float32]] = field(default_factory=dict)


class Recorder:
    """Models that compute as ever and write down what they were given."""

    def __init__(self, models: Models, selection: Selection) -> None:
        self.record = Record()
        self._models = models
        self._lanes = {name: expert.lane for name, expert in selection.experts.items()}
        self.models = Models(
            {name: self._recording(name, model) for name, model in models.by_expert.items()},
            self._predict if models.predict else None,
            models.resources,
            models.shot_resources,
        )

    def _recording(self, name: str, model: Model) -> Model:
        if self._lanes[name] == "none":
            return model  # its rows were made in the decoder

        def compute(items: Sequence[Item], /) -> list[list[Row]]:
            self.record.items[name].extend(items)
            self.record.batches[name].append(len(items))
            return model(items)

        return compute

    def _predict(self, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert self._models.predict is not None
        answers = self._models.predict(windows)
        self.record.windows.extend(windows)
        self.record.answers.update((_digest(w), a) for w, a in zip(windows, answers, strict=True))
        return answers


@dataclass(frozen=True)
class Decoded:
    """A pass of the decoders: what it cost, how many videos it finished and how long they are."""

    cost: Cost
    videos: int
    video_seconds: float


def decode_only(
    selection: Selection, settings: EngineSettings, tasks: Sequence[VideoTask], record: Record
) -> Decoded:
    """Everything that happens in decoder processes, and the way of the items to the engine."""

    def answer(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.stack([record.answers[_digest(window)] for window in windows])

    models = Models(dict.fromkeys(selection.experts, _throw_away), answer if record.answers else None)
    with Engine(selection, settings, models=models) as engine:
        before = Cost.now()
        results = list(engine.run(tasks))
    lengths = [result.facts.get("duration_seconds") for result in results]
    return Decoded(Cost.now() - before, sum(bool(x) for x in lengths), sum(filter(None, lengths)))


class _Returned:
    """The owner of lanes that only counts what comes back."""

    def __init__(self) -> None:
        self._batches: queue.SimpleQueue[tuple[LaneName, int, Exception | None]] = queue.SimpleQueue()

    def take(self, lanes: Lanes) -> int:
        """How many requests the next batch had. Raises what it raised."""
        lane, requests, error = self._batches.get()
        lanes.returned(lane)
        if error is not None:
            raise error
        return requests

    def items_computed(self, batch: RequestBatch[Request, Result]) -> None:
        self._batches.put((batch.queue.lane, len(batch.requests), batch.error))

    windows_computed = tables_read = items_computed

    def item_unwanted(self, expert: str, item: QueuedItem) -> bool:
        return False


def compute_only(selection: Selection, settings: EngineSettings, models: Models, record: Record) -> Cost:
    """All recorded work in the engine's lanes, there at once, so that batches are full.

    Raises what a model raises.
    """
    back = _Returned()
    lanes = Lanes(
        selection.experts,
        models,
        back,
        batch_size=settings.batch_size,
        host_threads=settings.host_threads,
    )
    video = VideoLedger(VideoTask("recorded", b"", ()), selection, Path())
    before = Cost.now()
    left = len(record.windows)
    for window in record.windows:
        lanes.windows.put(WindowRequest(window, lambda answer: None, lambda: True))
    for name, items in record.items.items():
        left += len(items)
        for number, item in enumerate(items):
            lanes.items[name].put(QueuedItem(video, number, item))
    while left:
        lanes.dispatch(flush=("device", "host"))
        left -= back.take(lanes)
    cost = Cost.now() - before
    lanes.close()
    return cost


def _digest(window: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(window.tobytes()).digest()


def _throw_away(items: Sequence[Item], /) -> list[list[Row]]:
    return [[] for _ in items]
