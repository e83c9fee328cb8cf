"""The owner's side of a host in a process of its own: start it, feed it, notice when it ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection

from pipeline.process.child import CLOSE, STOP
from pipeline.work.host import HostSetup
from pipeline.work.jobs import JobReport, ShardJob, WorkerDied
from pipeline.work.worker_status import WorkerStatus


class HostProcess:
    """A process that works on jobs, and the thread that reads from it.

    The jobs of one that ends by itself raise WorkerDied; it is not started again.
    """

    def __init__(self, setup: HostSetup) -> None:
        self._futures: dict[str, Future[JobReport]] = {}
        self._lock = threading.Lock()
        self._ended = False
        self._status = WorkerStatus()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.process.child", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._connection = Connection(ours.detach())
        self._send(setup)
        self._thread = threading.Thread(target=self._listen, name="host process", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return self._ended

    def submit(self, job: ShardJob) -> Future[JobReport]:
        future: Future[JobReport] = Future()
        with self._lock:
            if self._ended:
                future.set_exception(WorkerDied("its process has ended"))
                return future
            self._futures[job.attempt] = future
        self._send(job)
        return future

    def status(self) -> WorkerStatus:
        """As it was half a second ago, or when it ended."""
        return self._status

    def stop(self) -> None:
        """Have it write what is finished; jobs report what is left. Returns at once."""
        self._send(STOP)

    def close(self) -> None:
        """Stop it, and wait until everything is written and it is gone."""
        self._send(CLOSE)
        self._process.wait()
        self._thread.join()

    def _send(self, message: HostSetup | ShardJob | str) -> None:
        with suppress(OSError):  # it has ended: the listener says so
            self._connection.send(message)

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                message: WorkerStatus | tuple[str, JobReport | BaseException] = self._connection.recv()
                if isinstance(message, WorkerStatus):
                    self._status = message
                    continue
                attempt, outcome = message
                future = self._futures.pop(attempt)
                if isinstance(outcome, BaseException):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
        with self._lock:
            self._ended = True
        self._process.kill()
        self._process.wait()
        self._connection.close()
        for future in self._futures.values():
            future.set_exception(WorkerDied("its process has ended"))
