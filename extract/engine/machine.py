"""What an engine runs on: a clock, threads, decoder processes. A simulation puts its own in their place."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Protocol

from extract.decoder.messages import DecodeJob, Message, WindowAnswer
from extract.decoder.owner import Decoder

Event = Callable[[], None]


class VideoDecoder(Protocol):
    """Decodes one video at a time: :class:`extract.decoder.owner.Decoder`."""

    def submit(self, job: DecodeJob) -> None: ...

    def answer(self, answer: WindowAnswer) -> None: ...

    def close(self) -> None: ...


class Inbox(Protocol):
    """What other threads want the engine's own thread to do; as :class:`queue.SimpleQueue`."""

    def put(self, event: Event, /) -> None: ...

    def get(self, *, timeout: float) -> Event: ...

    def get_nowait(self) -> Event: ...

    def empty(self) -> bool: ...


class Machine:
    """This machine."""

    def now(self) -> float:
        """Seconds, from any start."""
        return time.monotonic()

    def inbox(self) -> Inbox:
        return queue.SimpleQueue()

    def pool(self, name: str, threads: int) -> Executor:
        return ThreadPoolExecutor(threads, name)

    def decoder(self, deliver: Callable[[Any, Message], None], *, stall_seconds: float) -> VideoDecoder:
        return Decoder(deliver, stall_seconds=stall_seconds)
