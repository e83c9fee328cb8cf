"""What a section of the report measures with; each section runs in a process of its own.

So one that crashes, hangs or breaks its CUDA context costs the others nothing, and what it had measured
by then is kept.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import torch

from bench.gpu.sizes import Sizes
from extract.ops.network.device import free_device_memory
from extract.ops.network.device_errors import reason_of, trouble_of

Measurement = Mapping[str, Any]  # ready for JSON: what was measured, then its values
NEEDS_GPU = {"note": "needs a GPU"}
GRACE_SECONDS = 30.0  # what has begun may end; then it is killed


@dataclass(frozen=True)
class Gauge:
    """What a section is given.

    Attributes:
        device: ``cuda:0``, or ``cpu`` in a dry run without a GPU.
        folder: for files, one for all sections.
        earlier: the measurements of the sections before, by section.
        deadline: no measurement begins after this (monotonic).
        take: receives every measurement as soon as there is one.
    """

    device: str
    sizes: Sizes
    folder: Path
    earlier: Mapping[str, Sequence[Measurement]] = field(default_factory=dict)
    deadline: float = float("inf")
    take: Callable[[Measurement], None] = lambda measurement: None

    @property
    def on_gpu(self) -> bool:
        return self.device != "cpu"

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    def measure(
        self, what: Measurement, call: Callable[[], Measurement], *, needs_gpu: bool = False
    ) -> Measurement:
        """Book what ``call`` finds. An error, or no time left, is booked instead, and the section goes on.

        Only a process that has lost its device cannot.
        """
        if needs_gpu and not self.on_gpu:
            found: Measurement = NEEDS_GPU
        elif self.seconds_left < 0:
            found = {"note": "left out: no time was left"}
        else:
            try:
                found = call()
            except Exception as error:
                if trouble_of(error) == "broken":
                    raise
                found = {"error": _where(error)}
        if "error" in found:  # here nothing holds the tensors of the failed attempt
            free_device_memory()
        self.take({**what, **found})
        return found

    def seconds(self, call: Callable[[], Any]) -> float:
        """Mean seconds of a call. The first, which sets things up, is left out; a dry run makes no other."""
        if self.sizes.least_seconds:
            call()
            self.synchronise()
        began, count = time.perf_counter(), 0
        while not count or time.perf_counter() - began < self.sizes.least_seconds:
            call()
            self.synchronise()
            count += 1
        return (time.perf_counter() - began) / count

    def synchronise(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()


Section = Callable[[Gauge], None]


def run_apart(section: Section, gauge: Gauge) -> str | None:
    """Run a section in a fork, which must not have touched CUDA; why it did not come to its end, or None."""
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(section, gauge, writer))
    process.start()
    writer.close()
    try:
        problem = _listen(reader, gauge)
        if problem is None:  # it has nothing more to say
            process.join()
    finally:  # also where this process is interrupted, or cannot write the report
        if process.exitcode is None:
            _kill(process)
        process.join()
        reader.close()
    if problem is None and process.exitcode:
        problem = f"its process ended with status {process.exitcode}"
    return problem


def _listen(reader: Connection, gauge: Gauge) -> str | None:
    """Take measurements until there are no more, or until there is a problem."""
    while True:
        left = max(0.0, gauge.seconds_left + GRACE_SECONDS)
        if not reader.poll(None if left == float("inf") else left):
            return "took too long and was killed"
        try:
            message = reader.recv()
        except EOFError:
            return None
        if isinstance(message, str):
            return message
        gauge.take(message)


def _kill(process: ForkProcess) -> None:
    """With all that it has started: nothing yet where it is too young to have a session of its own."""
    process.kill()
    if process.pid is not None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _work(section: Section, gauge: Gauge, writer: Connection) -> None:
    os.setsid()  # so that it can be killed with all that it starts
    try:
        section(replace(gauge, take=writer.send))
    except Exception as error:
        traceback.print_exc()
        writer.send(_where(error))


def _where(error: Exception) -> str:
    """An error in one line, with the line of code that it comes from."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {reason_of(error)} ({Path(frame.filename).name}:{frame.lineno})"
