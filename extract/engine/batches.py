"""Requests that wait to be computed together, and what becomes of a batch of them."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Literal, TypeVar

from extract.declarations import Resources
from extract.errors import OutOfDeviceMemory
from extract.ops.network.device import free_device_memory, is_out_of_memory
from extract.ops.network.device_errors import MAKE_ROOM, as_device_error, reason_of

PART_ITEMS = 16  # a batch is not cut smaller: networks lose more by that than urgent requests gain

LaneName = Literal["device", "host"]
Request = TypeVar("Request")
Result = TypeVar("Result")


class RequestBatch(Generic[Request, Result]):
    """Requests that are computed together: a result for each, or the error that they met."""

    def __init__(self, queue: BatchQueue[Request, Result], requests: Sequence[Request]) -> None:
        self.queue = queue
        self.requests = requests
        self.results: Sequence[Result] = ()
        self.error: Exception | None = None
        self.seconds = 0.0

    def compute(self, between: Callable[[], None] = lambda: None) -> None:
        """``between`` is called between the parts of a batch that takes long; its time is not the batch's."""
        now = self.queue.now
        started, elsewhere = now(), 0.0

        def pause() -> None:
            nonlocal elsewhere
            left = now()
            between()
            elsewhere += now() - left

        try:
            self.results = self.queue.compute_in_parts(self.requests, pause)
        except Exception as error:
            self.error = as_device_error(error)
        self.seconds = now() - started - elsewhere

    def count(self, items: int, seconds: float) -> None:
        """Book the time of a part that was computed elsewhere."""
        self.seconds += seconds
        self.queue.took(items, seconds)

    def report(self) -> None:
        self.queue.done(self)


class BatchQueue(Generic[Request, Result]):
    """Requests of one kind, and how they are computed.

    ``compute`` gives a result for each of the requests; until it is set they wait. ``done`` is called with
    every batch in the thread that computed it. ``unwanted`` is asked about each request when its turn has
    come, in the owner's thread; one that is unwanted leaves the queue uncomputed. ``resources`` are the
    model's, whose batch size follows when a batch does not fit the device's memory. An ``urgent`` queue goes
    before others and waits for no full batch. ``now`` is its clock; a batch that takes longer than
    ``turn_seconds`` is computed in parts, between which urgent ones have their turn.
    """

    def __init__(
        self,
        name: str,
        lane: LaneName,
        compute: Callable[[Sequence[Request]], Sequence[Result]] | None,
        *,
        done: Callable[[RequestBatch[Request, Result]], None],
        unwanted: Callable[[Request], bool] = lambda request: False,
        batch_size: int = 1,
        resources: Resources | None = None,
        urgent: bool = False,
    ) -> None:
        self.name = name
        self.lane = lane
        self.done = done
        self.urgent = urgent
        self.then: BatchQueue[Request, Result] | None = None  # where the results go on, if that is not all
        self.now: Callable[[], float] = time.monotonic
        self.turn_seconds = math.inf
        self._item_seconds = 0.0  # of the last part
        self.halved = 0  # how often a batch did not fit the device's memory
        # An earlier engine with the same model may have halved its batch.
        self.size = batch_size if resources is None else min(batch_size, resources.batch_size)
        self.compute = compute
        self._unwanted = unwanted
        self._resources = resources
        self._waiting: deque[Request] = deque()
        self._single: deque[Request] = deque()  # to be computed alone
        self._since = 0.0  # when the oldest of the waiting came, or the last batch went

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """Whether its requests can be computed."""
        return self.compute is not None

    @property
    def has_single(self) -> bool:
        return bool(self._single)

    @property
    def share(self) -> float:
        """How full the next batch is; above 1 when more than a batch waits."""
        return len(self._waiting) / self.size

    def lingers(self, seconds: float) -> bool:
        return self.now() - self._since > seconds

    def put(self, request: Request) -> None:
        if not self._waiting:
            self._since = self.now()
        self._waiting.append(request)

    def retry_singly(self, requests: Sequence[Request]) -> None:
        """Compute these one by one: one of them made its batch fail."""
        self._single.extend(requests)

    def take(self) -> RequestBatch[Request, Result] | None:
        """The next batch of what is still wanted; None if nothing of it is."""
        source, size = (self._single, 1) if self._single else (self._waiting, self.size)
        self._since = self.now()
        wanted: list[Request] = []
        while source and len(wanted) < size:
            request = source.popleft()
            if not self._unwanted(request):
                wanted.append(request)
        return RequestBatch(self, wanted) if wanted else None

    def compute_in_parts(
        self, requests: Sequence[Request], between: Callable[[], None] = lambda: None
    ) -> list[Result]:
        """The results of a batch, in as many parts as its time and the device's memory ask for.

        A part that does not fit is halved, and so is the queue's batch size from then on: what a
        model pads to a whole batch does not get smaller otherwise. Raises OutOfDeviceMemory if an
        item does not fit alone, at a batch size of one and with nothing cached.
        """
        results: list[Result] = []
        step, last_try = self.part_items(), False
        while len(results) < len(requests):
            if results:
                between()
            started = self.now()
            part = requests[len(results) : len(results) + step]
            try:
                results.extend(self._results(part))
                self.took(len(part), self.now() - started)
                last_try = False
                continue
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                reason = reason_of(error)
            # Only here, behind the block, does nothing hold the tensors of the failed attempt.
            free_device_memory()
            if last_try:
                raise OutOfDeviceMemory(
                    f"one item of {self.name} does not fit into the device's memory ({reason}): {MAKE_ROOM}"
                )
            last_try = len(part) == 1 and self.size == 1
            if self.size > 1:
                self._halve()
            step = min((len(part) + 1) // 2, self.size)
        return results

    def took(self, items: int, seconds: float) -> None:
        """Remember how long a part of so many items took."""
        self._item_seconds = seconds / items

    def part_items(self) -> int:
        """How many items are computed in a turn, as far as the last ones tell: a power of two, or all."""
        if self._item_seconds * self.size <= self.turn_seconds:
            return self.size
        in_turn = int(self.turn_seconds / self._item_seconds)
        return min(self.size, max(PART_ITEMS, 1 << max(in_turn.bit_length() - 1, 0)))

    def _results(self, requests: Sequence[Request]) -> Sequence[Result]:
        if self.compute is None:
            raise RuntimeError(f"{self.name} is computed before its model is there")
        return self.checked(self.compute(requests), len(requests))

    def checked(self, results: Sequence[Result], items: int) -> Sequence[Result]:
        """The results, one for each item. Raises ValueError where there are more or fewer."""
        if len(results) != items:
            raise ValueError(f"{self.name} gave {len(results)} results for {items} items")
        return results

    def _halve(self) -> None:
        self.halved += 1
        in_use = self.size if self._resources is None else min(self.size, self._resources.batch_size)
        self.size = max(1, in_use // 2)
        if self._resources is not None:
            self._resources.batch_size = self.size
