"""What an engine runs on: a clock, threads, decoder processes. A simulation puts its own in their place."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from extract.decoder.messages import DecodeJob, Message, WindowAnswer
from extract.decoder.owner import Decoder
from extract.ops.network.staged import Stacked, StagedModel
from extract.ops.network.streams import DeviceStreams

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


class DeviceSide(Protocol):
    """What a device does of a staged model: :class:`extract.ops.network.streams.DeviceStreams`."""

    def upload(self, arrays: Stacked, /) -> Any: ...

    def compute(self, model: StagedModel, uploaded: Any, /) -> Any: ...

    def download(self, outputs: Any, /) -> NDArray[np.floating]: ...


class Machine:
    """This machine."""

    def now(self) -> float:
        """Seconds, from any start."""
        return time.monotonic()

    def inbox(self) -> Inbox:
        return queue.SimpleQueue()

    def pool(self, name: str, threads: int) -> Executor:
        return ThreadPoolExecutor(threads, name)

    def streams(self, device: str) -> DeviceSide:
        return DeviceStreams(device)

    def decoder(self, deliver: Callable[[Any, Message], None], *, stall_seconds: float) -> VideoDecoder:
        return Decoder(deliver, stall_seconds=stall_seconds)
