"""Where models run: batches that fill across videos, on the device and on the host's cores."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.expert import Expert, Lane
from extract.models import Models
from extract.types import Item

WINDOWS = "windows"  # the shot network's queue: it goes first, decoders wait for it


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
class Computed:
    """A batch that came back: rows for each entry, or the error it met."""

    queue: str
    entries: Sequence[Any]
    results: Sequence[Any]
    error: Exception | None
    seconds: float


class Lanes:
    """A queue for each expert, and threads that take batches from them.

    The device lane computes one batch while the next one waits; the host lane runs ``host_threads``
    single items beside it. A partial batch goes out only when ``flush`` says that nothing else
    can happen, or when it has waited for ``linger_seconds``.
    """

    def __init__(
        self,
        experts: Mapping[str, Expert],
        models: Models,
        *,
        batch_size: int,
        host_threads: int,
        done: Callable[[Computed], None],
        linger_seconds: float = 1.0,
    ) -> None:
        self._models = models
        self._batch_size = batch_size
        self._done = done
        self._linger_seconds = linger_seconds
        self._lane: dict[str, Lane] = {name: expert.lane for name, expert in experts.items()}
        self._lane[WINDOWS] = "device"
        self._queues: dict[str, deque[Any]] = {name: deque() for name in self._lane}
        self._single: deque[tuple[str, Any]] = deque()  # entries of a batch that failed
        self._since: dict[str, float] = {}
        self._running = {"device": 0, "host": 0}
        self._room = {"device": 2, "host": host_threads + 1}
        self._pools = {
            "device": ThreadPoolExecutor(1, "device"),
            "host": ThreadPoolExecutor(host_threads, "host"),
        }

    @property
    def idle(self) -> bool:
        return not any(self._running.values())

    def put(self, queue: str, entry: Any) -> None:
        if not self._queues[queue]:
            self._since[queue] = time.monotonic()
        self._queues[queue].append(entry)

    def retry_singly(self, queue: str, entries: Sequence[Any]) -> None:
        """Run these one by one: one of them made its batch fail."""
        self._single.extend((queue, entry) for entry in entries)

    def dispatch(self, *, flush: bool) -> None:
        """Start as many batches as there is room for."""
        for lane in ("device", "host"):
            while self._running[lane] < self._room[lane]:
                batch = self._next_batch(lane, flush=flush)
                if batch is None:
                    break
                self._running[lane] += 1
                self._pools[lane].submit(self._compute, *batch)

    def returned(self, computed: Computed) -> None:
        """Make room: the owner has seen this batch come back."""
        self._running[self._lane[computed.queue]] -= 1

    def close(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)

    def _next_batch(self, lane: str, *, flush: bool) -> tuple[str, list[Any]] | None:
        if self._single and self._lane[self._single[0][0]] == lane:
            name, entry = self._single.popleft()
            return name, [entry]
        now = time.monotonic()
        best: str | None = None
        for name, waiting in self._queues.items():
            size = self._size(name)
            ready = (
                flush
                or name == WINDOWS
                or len(waiting) >= size
                or now - self._since.get(name, now) > self._linger_seconds
            )
            if self._lane[name] != lane or not waiting or not ready:
                continue
            if name == WINDOWS:
                best = name
                break
            if best is None or len(waiting) / size > len(self._queues[best]) / self._size(best):
                best = name
        if best is None:
            return None
        waiting, size = self._queues[best], self._size(best)
        self._since[best] = now
        return best, [waiting.popleft() for _ in range(min(size, len(waiting)))]

    def _size(self, queue: str) -> int:
        return 1 if self._lane[queue] == "host" else self._batch_size

    def _compute(self, queue: str, entries: list[Any]) -> None:
        started = time.monotonic()
        results: Any = ()
        error: Exception | None = None
        try:
            if queue == WINDOWS:
                assert self._models.predict is not None
                results = self._models.predict(np.stack([window.thumbnails for window in entries]))
            else:
                results = self._models.by_expert[queue]([entry.item for entry in entries])
            if len(results) != len(entries):
                raise ValueError(f"{queue} gave {len(results)} results for {len(entries)} items")
        except Exception as caught:
            error = caught
        self._done(Computed(queue, entries, results, error, time.monotonic() - started))
