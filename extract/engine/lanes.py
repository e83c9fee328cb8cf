"""Where models run: batches that fill across videos, on the device and on the host's cores."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from extract.declarations import Expert, Model, Resources, TwoStepModel
from extract.engine.batches import BatchQueue, LaneName, RequestBatch
from extract.engine.machine import Machine
from extract.engine.models import Models
from extract.engine.requests import QueuedItem, TableRequest, WindowRequest
from extract.engine.stages import BATCHES, ItemBatch, Stages
from extract.ops.network.staged import StagedModel
from extract.types import Item, Row

WINDOWS = "windows"  # of the shot network
TURN_SECONDS = 0.25  # that windows wait for the device at most, where batches can be cut
TABLES = "tables"  # that text experts read
NEXT = 1  # batches of a lane that wait beside those of its threads, so that none of these waits for the owner

WindowBatch = RequestBatch[WindowRequest, NDArray[np.float32]]
TableBatch = RequestBatch[TableRequest, list[Item]]


class Owner(Protocol):
    """Whose lanes these are. Batches are handed over in the thread that computed them."""

    def items_computed(self, batch: ItemBatch) -> None: ...

    def windows_computed(self, batch: WindowBatch) -> None: ...

    def tables_read(self, batch: TableBatch) -> None: ...

    def item_unwanted(self, expert: str, item: QueuedItem) -> bool:
        """Whether nobody waits for this any more; asked in the owner's thread before it is computed."""


class _AnyBatch(Protocol):
    @property
    def queue(self) -> _AnyQueue: ...

    def compute(self, between: Callable[[], None] = ..., /) -> None: ...

    def report(self) -> None: ...


class _AnyQueue(Protocol):
    """What choosing the next batch needs of a queue, whatever it holds."""

    name: str
    lane: LaneName
    urgent: bool
    size: int
    halved: int
    now: Callable[[], float]

    def __len__(self) -> int: ...

    @property
    def ready(self) -> bool: ...

    @property
    def has_single(self) -> bool: ...

    @property
    def share(self) -> float: ...

    def lingers(self, seconds: float) -> bool: ...

    def take(self) -> _AnyBatch | None: ...


class Lanes:
    """A queue for each expert, one for windows and one for tables, and threads that take batches from them.

    The device lane computes one batch while the next one waits, or is stacked where a model has stages
    (:mod:`extract.engine.stages`); the host lane runs ``host_threads``
    single items beside it. A partial batch goes out only when ``flush`` names its lane, to which nothing
    else can come, or when the lane has nothing else to do and the batch has waited for ``linger_seconds``.
    Windows and tables go first: decoders, or whole experts, wait for them. Items may come before their model
    (:meth:`use`).
    """

    def __init__(
        self,
        experts: Mapping[str, Expert],
        models: Models,
        owner: Owner,
        *,
        batch_size: int,
        host_threads: int,
        linger_seconds: float = 1.0,
        machine: Machine | None = None,
    ) -> None:
        machine = machine or Machine()
        self._now = machine.now
        self._linger_seconds = linger_seconds
        self.windows = BatchQueue[WindowRequest, NDArray[np.float32]](
            WINDOWS,
            "device",
            None,
            done=owner.windows_computed,
            unwanted=lambda window: not window.wanted(),
            batch_size=batch_size,
            resources=models.shot_resources,
            urgent=True,
        )
        self.tables = BatchQueue[TableRequest, list[Item]](
            TABLES, "host", partial(_items, experts), done=owner.tables_read, urgent=True
        )
        self._item_queue = partial(
            _item_queue, resources=models.resources, owner=owner, batch_size=batch_size
        )
        self._experts = experts
        self.items = {
            name: self._item_queue(name, expert, "device" if expert.lane == "device" else "host")
            for name, expert in experts.items()
            if expert.lane != "none"
        }
        self._queues: tuple[_AnyQueue, ...] = (self.windows, self.tables, *self.items.values())
        for queue in self._queues:
            queue.now = machine.now
        self._urgent: deque[WindowBatch] = deque()
        self._running: dict[LaneName, int] = {"device": 0, "host": 0}
        self._computing: dict[int, tuple[LaneName, float]] = {}  # by thread
        self._pools = {
            "device": machine.pool("device", 1),
            "host": machine.pool("host", host_threads),
        }
        self._room: dict[LaneName, int] = {"device": 1 + NEXT, "host": host_threads + NEXT}
        self._machine = machine
        self._staged: dict[str, StagedModel] = {}
        self._stages: Stages | None = None
        self.all_there = False  # every model that was announced
        self.use(models)

    def use(self, models: Models) -> None:
        """Compute with these, too: those that were given before stay. In the owner's thread."""
        self.all_there = models.all_there
        if models.predict is not None or models.all_there:
            self.windows.compute = partial(_answers, models)
        for name, items in self.items.items():
            model = models.by_expert.get(name)
            if items.ready or model is None:
                continue
            items.compute = partial(_rows, model)
            if isinstance(model, TwoStepModel):
                items.then = self._item_queue(name, self._experts[name], "device")
                items.then.compute = partial(_second_rows, model)
                items.then.now = self._now
                self._queues += (items.then,)
            if models.predict is not None:  # decoders wait for its answers
                for queue in (items, items.then):
                    if queue is not None:
                        queue.turn_seconds = TURN_SECONDS
        self._staged = _staged(models.by_expert)
        if self._staged and self._stages is None:
            device = next(iter(self._staged.values())).resources.device
            self._stages = Stages(self._machine, device, on_device=self._on_device, alone=self._compute)
            self._room["device"] = BATCHES

    @property
    def idle(self) -> set[LaneName]:
        """The lanes that have nothing to compute and nothing next."""
        return {lane for lane, running in self._running.items() if not running}

    @property
    def waiting(self) -> dict[str, int]:
        """How many requests each queue holds. Any thread may ask."""
        found: Counter[str] = Counter()
        for queue in self._queues:
            found[queue.name] += len(queue)
        return dict(found)

    @property
    def halved(self) -> dict[str, int]:
        """How often a queue's batch did not fit the device's memory, where it happened."""
        return {queue.name: queue.halved for queue in self._queues if queue.halved}

    @property
    def computing(self) -> list[tuple[LaneName, float]]:
        """The lanes that compute now, once for each batch, and since when. Any thread may ask."""
        return list(self._computing.values())

    def dispatch(self, *, flush: Container[LaneName] = ()) -> None:
        """Start as many batches as there is room for; partial ones in the lanes of ``flush``.

        Windows wait for no room: a busy device takes them before the next part of its batch. Those that come
        until then go together after that.
        """
        windows = self.windows.take() if self.windows.ready and not self._urgent else None
        if windows is not None:
            self._running["device"] += 1
            self._urgent.append(windows)
            self._pools["device"].submit(self._run_urgent)
        for lane, room in self._room.items():
            while self._running[lane] < room:
                batch = self._next_batch(lane, flush=lane in flush)
                if batch is None:
                    break
                self._running[lane] += 1
                self._start(lane, batch)

    def returned(self, lane: LaneName) -> None:
        """Make room: the owner has seen a batch of this lane come back."""
        self._running[lane] -= 1

    def close(self) -> None:
        if self._stages is not None:
            self._stages.stop_stacking()
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
        if self._stages is not None:
            self._stages.close()

    def _next_batch(self, lane: LaneName, *, flush: bool) -> _AnyBatch | None:
        while (queue := self._next_queue(lane, flush=flush)) is not None:
            batch = queue.take()
            if batch is not None:
                return batch
        return None

    def _next_queue(self, lane: LaneName, *, flush: bool) -> _AnyQueue | None:
        """Whose turn it is: retries, then what is urgent, then the fullest queue that may go."""
        queues = [q for q in self._queues if q.lane == lane and q.ready and q is not self.windows]
        first = [q for q in queues if q.has_single] or [q for q in queues if q.urgent and len(q)]
        if first:
            return first[0]
        idle = not self._running[lane]
        ready = [
            q
            for q in queues
            if len(q) and (flush or q.share >= 1 or (idle and q.lingers(self._linger_seconds)))
        ]
        return max(ready, key=lambda queue: queue.share, default=None)

    def _start(self, lane: LaneName, batch: Any) -> None:
        model = self._staged.get(batch.queue.name)
        if self._stages is not None and model is not None:
            self._stages.start(batch, model)
        else:
            self._pools[lane].submit(self._turn, lane, partial(self._compute, batch))

    def _turn(self, lane: LaneName, work: Callable[[], None]) -> None:
        """In a thread of the lane; what is urgent goes first."""
        thread = threading.get_ident()
        self._computing[thread] = lane, self._now()
        if lane == "device":
            self._run_urgent()
        work()
        del self._computing[thread]

    def _on_device(self, work: Callable[[], None]) -> None:
        self._pools["device"].submit(self._turn, "device", work)

    def _compute(self, batch: _AnyBatch) -> None:
        if batch.queue.lane == "device":
            batch.compute(self._run_urgent)
        else:
            batch.compute()
        batch.report()

    def _run_urgent(self) -> None:
        """In the device's thread: what has come for the shot network, if no earlier turn has taken it."""
        thread = threading.get_ident()
        while self._urgent:
            windows = self._urgent.popleft()
            outer = self._computing.get(thread)
            self._computing[thread] = outer or ("device", self._now())
            windows.compute()
            if outer is None:
                del self._computing[thread]
            windows.report()


def _staged(models: Mapping[str, Model]) -> dict[str, StagedModel]:
    """The models whose steps go side by side: those on an accelerator."""
    found = {name: model for name, model in models.items() if isinstance(model, StagedModel)}
    return {name: model for name, model in found.items() if model.resources.device != "cpu"}


def _item_queue(
    name: str,
    expert: Expert,
    lane: LaneName,
    *,
    resources: Mapping[str, Resources],
    owner: Owner,
    batch_size: int,
) -> BatchQueue[QueuedItem, list[Row]]:
    """A queue of an expert's items, or of what the first step of its model has found."""
    there = lane == "device"
    return BatchQueue(
        name,
        lane,
        None,
        done=owner.items_computed,
        unwanted=partial(owner.item_unwanted, name),
        # Of this and what the model was loaded with the smaller one counts.
        batch_size=batch_size * expert.larger_batches if there else expert.host_batch,
        resources=resources.get(name) if there else None,
    )


def _answers(models: Models, windows: Sequence[WindowRequest]) -> Sequence[NDArray[np.float32]]:
    if models.predict is None:
        raise RuntimeError("a window came for the shot network, but the shot detector has none")
    return list(models.predict(np.stack([window.thumbnails for window in windows])))


def _items(experts: Mapping[str, Expert], requests: Sequence[TableRequest]) -> list[list[Item]]:
    return [list(experts[request.expert].read_tables(request.tables)) for request in requests]


def _rows(model: Model, items: Sequence[QueuedItem]) -> list[list[Row]]:
    """Of a model of two steps, what the first one finds."""
    if isinstance(model, TwoStepModel):
        return model.first([queued.item for queued in items])
    return model([queued.item for queued in items])


def _second_rows(model: TwoStepModel, items: Sequence[QueuedItem]) -> list[list[Row]]:
    return model.second([queued.item for queued in items], [queued.found for queued in items])
