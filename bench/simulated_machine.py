"""A machine on which time is a number: :class:`extract.engine.machine.Machine` for simulations.

Everything happens in one thread, in the order of a clock that jumps from one event to the next, so that a run
is the same each time and takes no longer than the engine's own bookkeeping.
"""

from __future__ import annotations

import heapq
import queue
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from itertools import count
from typing import Any

from extract.decoder.messages import DecodeJob, ItemReady, Message, WindowAnswer
from extract.engine.credit import Credit
from extract.engine.machine import DeviceSide, Event, Inbox, Machine, VideoDecoder
from extract.ops.network.staged import Stacked, StagedModel

Script = Callable[[DecodeJob], Iterator[tuple[float, Message]]]


class SimulatedMachine(Machine):
    """Decoders that follow a script, and pools whose jobs last as long as they :meth:`spend`.

    ``script`` gives the messages of a video, each with the seconds of work that it takes. ``credit`` is the
    engine's, to be set before it runs: a decoder whose item finds no room waits, as a real one's thread does.
    """

    credit: Callable[[str], Credit]
    bytes_in_flight: Callable[[], int]

    def __init__(self, script: Script) -> None:
        self.busy: dict[str, list[tuple[float, float]]] = {}  # of each pool: from, to
        self._script = script
        self._time = self._spent = 0.0
        self.at_work = False  # while a pool's job runs
        self._agenda: list[tuple[float, int, Event]] = []
        self._order = count()
        self._arrived: deque[Event] = deque()
        self._blocked: deque[_Decoder] = deque()
        self.peak_bytes = 0

    def now(self) -> float:
        return self._time + self._spent

    def spend(self, seconds: float) -> None:
        """What runs in a pool just now takes so long."""
        self._spent += seconds

    def at(self, seconds: float, event: Event) -> None:
        """Have something happen at a time."""
        heapq.heappush(self._agenda, (seconds, next(self._order), event))

    def busy_share(self, pool: str, begin: float, end: float) -> float:
        """How many of a pool's threads were busy between two times, on average."""
        busy = sum(max(0.0, min(stop, end) - max(start, begin)) for start, stop in self.busy[pool])
        return busy / (end - begin) if end > begin else 0.0

    def inbox(self) -> Inbox:
        return self

    def pool(self, name: str, threads: int) -> Executor:
        return _Pool(self, threads, self.busy.setdefault(name, []))

    def streams(self, device: str) -> DeviceSide:
        return _NoStreams()

    def decoder(self, deliver: Callable[[Any, Message], None], *, stall_seconds: float) -> VideoDecoder:
        return _Decoder(self, deliver, self._script)

    def put(self, event: Event) -> None:
        if self._spent:
            self.at(self.now(), lambda: self._arrived.append(event))
        else:
            self._arrived.append(event)

    def get(self, *, timeout: float) -> Event:
        """The next event, which is waited for in no time."""
        until = self._time + timeout
        self._let_in()
        while not self._arrived:
            if not self._agenda or self._agenda[0][0] > until:
                self._time = until
                raise queue.Empty
            self._time, _, event = heapq.heappop(self._agenda)
            event()
        return self._arrived.popleft()

    def get_nowait(self) -> Event:
        if not self._arrived:
            raise queue.Empty
        return self._arrived.popleft()

    def empty(self) -> bool:
        self._let_in()
        return not self._arrived

    def run(self, job: Event) -> float:
        """Run a pool's job, which begins now; the time at which it ends."""
        self.at_work = True
        job()
        end, self._spent, self.at_work = self.now(), 0.0, False
        return end

    def admit(self, decoder: _Decoder) -> None:
        """Let a decoder go on if there is room for its item, else as soon as there is."""
        if not self._enter(decoder):
            self._blocked.append(decoder)

    def _let_in(self) -> None:
        for _ in range(len(self._blocked)):
            decoder = self._blocked.popleft()
            if not self._enter(decoder):
                self._blocked.append(decoder)

    def _enter(self, decoder: _Decoder) -> bool:
        item = decoder.item
        if item is not None and not self.credit(item.expert).has_room(decoder, item.expert, item.item):
            return False
        decoder.hand_over()
        self.peak_bytes = max(self.peak_bytes, self.bytes_in_flight())
        return True


class _NoStreams:
    """Models that only spend time have nothing to copy."""

    def upload(self, arrays: Stacked) -> Stacked:
        return arrays

    def compute(self, model: StagedModel, uploaded: Any) -> Any:
        return model.compute(uploaded)

    def download(self, outputs: Any) -> Any:
        return outputs


class _Pool(Executor):
    def __init__(self, machine: SimulatedMachine, threads: int, busy: list[tuple[float, float]]) -> None:
        self._machine, self._busy = machine, busy
        self._free = threads
        self._waiting: deque[Event] = deque()

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._waiting.append(lambda: call(*args, **kwargs))
        if self._machine.at_work:  # what runs now may have more to spend before it
            self._machine.at(self._machine.now(), self._begin)
        else:
            self._begin()
        return Future()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._waiting.clear()

    def _begin(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            begin = self._machine.now()
            end = self._machine.run(self._waiting.popleft())
            self._busy.append((begin, end))
            self._machine.at(end, self._end)

    def _end(self) -> None:
        self._free += 1
        self._begin()


class _Decoder:
    def __init__(
        self, machine: SimulatedMachine, deliver: Callable[[Any, Message], None], script: Script
    ) -> None:
        self._machine, self._deliver, self._script = machine, deliver, script
        self._messages: Iterator[tuple[float, Message]] = iter(())
        self._next: Message | None = None

    @property
    def item(self) -> ItemReady | None:
        """What it brings next, if that is an item."""
        return self._next if isinstance(self._next, ItemReady) else None

    def submit(self, job: DecodeJob) -> None:
        self._messages = self._script(job)
        self._work()

    def hand_over(self) -> None:
        message, self._next = self._next, None
        assert message is not None
        self._deliver(self, message)
        self._work()

    def answer(self, answer: WindowAnswer) -> None:
        raise NotImplementedError("scripts have no windows for the shot network")

    def close(self) -> None:
        self._messages = iter(())

    def _work(self) -> None:
        following = next(self._messages, None)
        if following is not None:
            seconds, self._next = following
            self._machine.at(self._machine.now() + seconds, lambda: self._machine.admit(self))
