"""Where models run: batches that fill across videos, on the device and on the host's cores."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from extract.engine.models import Models
from extract.errors import OutOfDeviceMemory
from extract.expert import Expert, Resources
from extract.ops.network.device import free_device_memory, is_out_of_memory
from extract.types import Item

if TYPE_CHECKING:
    import pyarrow as pa

# Queues that are no expert's. They go first: decoders, or whole experts, wait for them.
WINDOWS = "windows"  # of the shot network
TABLES = "tables"  # that text experts read
FIRST = (WINDOWS, TABLES)

LaneName = Literal["device", "host"]


@dataclass(frozen=True)
class Entry:
    """One item of one video, with its place among that video's items for this expert."""

    video: Any
    number: int
    item: Item


@dataclass(frozen=True)
class Shown:
    """A window of one video for the shot network, and the decoder that waits for the answer."""

    video: Any
    decoder: Any
    thumbnails: NDArray[np.uint8]


@dataclass(frozen=True)
class Written:
    """One video's tables that a text expert reads, to be made into its items."""

    video: Any
    expert: str
    tables: Mapping[str, pa.Table]


@dataclass(frozen=True)
class Computed:
    """A batch that came back: a result for each entry, or the error it met."""

    queue: str
    lane: LaneName
    entries: Sequence[Any]
    results: Sequence[Any]
    error: Exception | None
    seconds: float


class Lanes:
    """A queue for each expert, and threads that take batches from them.

    The device lane computes one batch while the next one waits; the host lane runs ``host_threads``
    single items beside it. A partial batch goes out only when ``flush`` says that nothing else
    can happen, or when it has waited for ``linger_seconds``. ``unwanted`` is asked about every
    entry when its turn has come, in the owner's thread; one that is, is not computed.
    """

    def __init__(
        self,
        experts: Mapping[str, Expert],
        models: Models,
        *,
        batch_size: int,
        host_threads: int,
        done: Callable[[Computed], None],
        unwanted: Callable[[str, Any], bool] = lambda queue, entry: False,
        linger_seconds: float = 1.0,
    ) -> None:
        self.halved: Counter[str] = Counter()  # how often a queue's batch did not fit the device's memory
        self._experts = experts
        self._models = models
        self._done = done
        self._unwanted = unwanted
        self._linger_seconds = linger_seconds
        self._lane: dict[str, LaneName] = {WINDOWS: "device", TABLES: "host"}
        self._lane |= {name: expert.lane for name, expert in experts.items() if expert.lane != "none"}
        self._sizes = {name: self._first_size(name, batch_size) for name in self._lane}
        self._queues: dict[str, deque[Any]] = {name: deque() for name in self._lane}
        self._single: dict[LaneName, deque[tuple[str, Any]]] = {"device": deque(), "host": deque()}
        self._since: dict[str, float] = {}
        self._running: dict[LaneName, int] = {"device": 0, "host": 0}
        self._room: dict[LaneName, int] = {"device": 2, "host": host_threads + 1}
        self._computing: dict[int, tuple[LaneName, float]] = {}  # by thread
        self._pools = {
            "device": ThreadPoolExecutor(1, "device"),
            "host": ThreadPoolExecutor(host_threads, "host"),
        }

    @property
    def idle(self) -> bool:
        return not any(self._running.values())

    @property
    def waiting(self) -> dict[str, int]:
        """How many entries each queue holds. Any thread may ask."""
        return {name: len(entries) for name, entries in self._queues.items()}

    @property
    def computing(self) -> list[tuple[LaneName, float]]:
        """The lanes that compute now, once for each batch, and since when. Any thread may ask."""
        return list(self._computing.values())

    def put(self, queue: str, entry: Any) -> None:
        if not self._queues[queue]:
            self._since[queue] = time.monotonic()
        self._queues[queue].append(entry)

    def retry_singly(self, queue: str, entries: Sequence[Any]) -> None:
        """Run these one by one: one of them made its batch fail."""
        self._single[self._lane[queue]].extend((queue, entry) for entry in entries)

    def dispatch(self, *, flush: bool) -> None:
        """Start as many batches as there is room for."""
        for lane, room in self._room.items():
            while self._running[lane] < room:
                batch = self._next_batch(lane, flush=flush)
                if batch is None:
                    break
                self._running[lane] += 1
                self._pools[lane].submit(self._compute, lane, *batch)

    def returned(self, computed: Computed) -> None:
        """Make room: the owner has seen this batch come back."""
        self._running[computed.lane] -= 1

    def close(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)

    def _next_batch(self, lane: LaneName, *, flush: bool) -> tuple[str, list[Any]] | None:
        while self._single[lane]:
            name, entry = self._single[lane].popleft()
            if not self._unwanted(name, entry):
                return name, [entry]
        while (fullest := self._fullest(lane, flush=flush)) is not None:
            batch = self._take(fullest)
            if batch:
                return fullest, batch
        return None

    def _fullest(self, lane: LaneName, *, flush: bool) -> str | None:
        """The queue whose turn it is, if any may go."""
        now = time.monotonic()
        best: str | None = None
        share = 0.0
        for name, waiting in self._queues.items():
            if self._lane[name] != lane or not waiting:
                continue
            if name in FIRST:
                return name
            size = self._sizes[name]
            lingered = now - self._since.get(name, now) > self._linger_seconds
            if (flush or lingered or len(waiting) >= size) and len(waiting) / size > share:
                best, share = name, len(waiting) / size
        return best

    def _take(self, queue: str) -> list[Any]:
        """A batch of what is still wanted; what is not leaves the queue too."""
        waiting = self._queues[queue]
        batch: list[Any] = []
        self._since[queue] = time.monotonic()
        while waiting and len(batch) < self._sizes[queue]:
            entry = waiting.popleft()
            if not self._unwanted(queue, entry):
                batch.append(entry)
        return batch

    def _compute(self, lane: LaneName, queue: str, entries: list[Any]) -> None:
        started = time.monotonic()
        self._computing[threading.get_ident()] = lane, started
        results: Sequence[Any] = ()
        error: Exception | None = None
        try:
            results = self._in_parts(queue, entries)
        except Exception as caught:
            error = caught
        seconds = time.monotonic() - started
        del self._computing[threading.get_ident()]
        self._done(Computed(queue, lane, entries, results, error, seconds))

    def _in_parts(self, queue: str, entries: list[Any]) -> list[Any]:
        """The results of a batch, in as many parts as the device's memory asks for.

        A part that does not fit is halved, and so is the queue's batch size from then on: what a
        model pads to a whole batch does not get smaller otherwise. Raises OutOfDeviceMemory if an
        item does not fit alone, at a batch size of one and with nothing cached.
        """
        results: list[Any] = []
        step, last_try = self._sizes[queue], False
        while len(results) < len(entries):
            part = entries[len(results) : len(results) + step]
            try:
                results.extend(self._results(queue, part))
                last_try = False
                continue
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                reason = str(error).partition("\n")[0]
            # Only here, behind the block, does nothing hold the tensors of the failed attempt.
            free_device_memory()
            if last_try:
                raise OutOfDeviceMemory(
                    f"one item of {queue} does not fit into the memory of the device ({reason}): end other "
                    "programs that use it, run fewer experts at a time, or take --device cpu"
                )
            last_try = len(part) == 1 and self._sizes[queue] == 1
            step = (len(part) + 1) // 2
            if self._sizes[queue] > 1:
                self._halve(queue)
        return results

    def _results(self, queue: str, entries: list[Any]) -> Sequence[Any]:
        results: Any
        if queue == WINDOWS:
            assert self._models.predict is not None
            results = self._models.predict(np.stack([window.thumbnails for window in entries]))
        elif queue == TABLES:
            results = [list(self._experts[e.expert].read_tables(e.tables)) for e in entries]
        else:
            results = self._models.by_expert[queue]([entry.item for entry in entries])
        if len(results) != len(entries):
            raise ValueError(f"{queue} gave {len(results)} results for {len(entries)} items")
        return results  # type: ignore[no-any-return]

    def _resources_of(self, queue: str) -> Resources | None:
        return self._models.resources.get("scenes" if queue == WINDOWS else queue)

    def _first_size(self, queue: str, batch_size: int) -> int:
        if self._lane[queue] == "host":
            return 1
        resources = self._resources_of(queue)  # whose batch an earlier run may have halved
        return batch_size if resources is None else min(batch_size, resources.batch_size)

    def _halve(self, queue: str) -> None:
        self.halved[queue] += 1
        self._sizes[queue] //= 2
        resources = self._resources_of(queue)
        if resources is not None:
            resources.batch_size = self._sizes[queue]
