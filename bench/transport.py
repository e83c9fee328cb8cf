"""What it costs to bring items from a decoder to its owner: ``python -m bench.transport``.

Processor time of both ends for each second of video, for the items of :mod:`bench.simulate`'s trailers: as
pickles over a socket (``multiprocessing.connection``), as the product does it
(:class:`extract.decoder.channel.Channel`), and through a ring of shared memory, out of which the owner
copies, since a ring has no room for items that wait for their batch.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Protocol

import numpy as np

from bench.simulate import PRESETS, Trailers
from extract.decoder.channel import Channel
from extract.decoder.messages import DecodeJob, ItemReady
from extract.engine.credit import item_bytes
from extract.selection import ExtractConfig, select
from pipeline.settings import choose

RING_BYTES = 64 << 20  # more than two of the largest items


class End(Protocol):
    def send(self, message: Any, /) -> None: ...

    def recv(self) -> Any: ...


class Ring:
    """A channel whose arrays go through shared memory; it is written again from its start when it is full."""

    def __init__(self, channel: Channel, memory: SharedMemory) -> None:
        self._channel, self._memory, self._at = channel, memory, 0

    def send(self, message: ItemReady) -> None:
        places = {}
        for name, array in message.item.arrays.items():
            if self._at + array.nbytes > RING_BYTES:
                self._at = 0
            there = np.ndarray(array.shape, array.dtype, self._memory.buf, self._at)
            there[...] = array
            places[name] = (array.shape, array.dtype, self._at)
            self._at += array.nbytes
        self._channel.send((places, replace(message, item=replace(message.item, arrays={}))))

    def recv(self) -> ItemReady:
        message: ItemReady
        places, message = self._channel.recv()
        arrays = {name: np.ndarray(s, d, self._memory.buf, at).copy() for name, (s, d, at) in places.items()}
        return replace(message, item=replace(message.item, arrays=arrays))


def measure(
    items: Sequence[ItemReady], ends: Callable[[socket.socket], End], repeat: int
) -> tuple[float, float]:
    """Processor seconds of who sends and who receives all items so often, one after another."""
    ours, theirs = socket.socketpair()
    answers, tell = os.pipe()
    child = os.fork()
    if child == 0:
        end, before = ends(theirs), _processor_seconds()
        for _ in range(repeat):
            for item in items:
                end.send(item)
                theirs.recv(1)  # a ring must not be overwritten
        os.write(tell, repr(_processor_seconds() - before).encode())
        os._exit(0)
    end, before = ends(ours), _processor_seconds()
    for _ in range(repeat * len(items)):
        end.recv()
        ours.send(b".")
    spent = _processor_seconds() - before
    sent = float(os.read(answers, 100))
    os.waitpid(child, 0)
    return sent, spent


def trailer_items(preset: str) -> tuple[list[ItemReady], float]:
    """A trailer's items with arrays of their own, and its length in seconds."""
    experts, options = choose(preset=preset, experts=None, layers=[])
    selection = select(ExtractConfig(experts=experts, options=options, random_seed=0, device="cpu"))
    trailers = Trailers(selection, preset, 1)
    job = DecodeJob(b"0", {name: {} for name in selection.experts})
    return list(_with_memory(trailers, job)), trailers.shots[0][-1][1]


def _with_memory(trailers: Trailers, job: DecodeJob) -> Iterator[ItemReady]:
    for _, message in trailers.messages(job):
        if isinstance(message, ItemReady):
            arrays = {name: np.array(array) for name, array in message.item.arrays.items()}
            yield replace(message, item=replace(message.item, arrays=arrays))


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args(arguments).repeat
    memory = SharedMemory(create=True, size=RING_BYTES)
    ways: dict[str, Callable[[socket.socket], End]] = {
        "pickles": lambda end: Connection(os.dup(end.fileno())),
        "channel": lambda end: Channel(end),
        "shared memory": lambda end: Ring(Channel(end), memory),
    }
    print("| preset | MB a second of video | way | ms of the decoder | ms of the owner |")
    print("|---|---|---|---|---|")
    try:
        for preset in PRESETS:
            items, seconds = trailer_items(preset)
            megabytes = sum(item_bytes(ready.item) for ready in items) / 1e6 / seconds
            for name, ends in ways.items():
                sent, received = (1000 * s / (repeat * seconds) for s in measure(items, ends, repeat))
                print(f"| {preset} | {megabytes:.1f} | {name} | {sent:.2f} | {received:.2f} |")
    finally:
        memory.close()
        memory.unlink()


if __name__ == "__main__":
    main()
