"""A host in a process of its own, for a caller whose process has lost its device.

It is started as ``python -m pipeline.process.child FD`` on one end of a socket pair, as decoders are, so it
never imports the caller's ``__main__``. It leaves when its owner's end of the socket closes.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from concurrent.futures import Future
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from extract.errors import DeviceFault
from pipeline.work.host import Host, HostSetup, end_process
from pipeline.work.jobs import JobReport, ShardJob

STATUS_SECONDS = 0.5
STOP, CLOSE = "stop", "close"  # what the owner says beside jobs


class _Link:
    """The child's end of the socket: its status, and for each attempt a report or an error."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: Any) -> None:
        with self._lock:
            try:
                self._connection.send(message)
            except OSError:
                os._exit(0)  # the owner is gone, and with it the right to write

    def report(self, attempt: str, future: Future[JobReport]) -> None:
        """Hand over what became of a job; a process that has lost its device ends instead."""
        error = future.exception()
        if isinstance(error, DeviceFault):
            end_process(error)
        self.send((attempt, future.result() if error is None else _sendable(error)))


def serve(connection: Connection) -> None:
    """Work on the owner's jobs until it says otherwise, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to handle
    link = _Link(connection)
    setup: HostSetup = connection.recv()
    host: Host | None = None
    problem: BaseException | None = None
    try:
        host = Host(setup)
    except Exception as error:
        problem = error
    while True:
        message: ShardJob | str = connection.recv() if connection.poll(STATUS_SECONDS) else ""
        if isinstance(message, ShardJob):
            if host is None:
                link.send((message.attempt, problem and _sendable(problem)))
            else:
                host.submit(message).add_done_callback(partial(link.report, message.attempt))
        elif message == STOP and host is not None:
            host.stop()
        elif message == CLOSE:
            if host is not None:
                host.close()
            return
        if host is not None:
            link.send(host.status())


def _sendable(error: BaseException) -> BaseException:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, OSError):
        os._exit(0)  # the owner is gone
