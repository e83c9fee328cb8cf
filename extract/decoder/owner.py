"""The owner's side of a decoder process: start it, feed it, notice when it dies or hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

from extract.decoder.channel import Channel
from extract.decoder.messages import DecodeJob, Finished, Message, VideoFailed, WindowAnswer

STALL_SECONDS = 120.0


class Decoder:
    """One decoder process and the thread that reads from it.

    ``deliver(decoder, message)`` is called from that thread and may block: a slow consumer holds
    the decoder back. A process that dies, or says nothing for ``stall_seconds`` while it is being
    listened to, is killed and replaced; its video ends with :class:`VideoFailed`.
    """

    def __init__(
        self,
        deliver: Callable[[Decoder, Message], None],
        *,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._deliver = deliver
        self._stall_seconds = stall_seconds
        self._closing = False
        self._job: DecodeJob | None = None
        self._wake = threading.Semaphore(0)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Channel | None = None
        self._thread = threading.Thread(target=self._listen, name="decoder", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def submit(self, job: DecodeJob) -> None:
        """Decode this video next; the decoder must be idle."""
        self._job = job
        self._wake.release()

    def answer(self, answer: WindowAnswer) -> None:
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(OSError):  # it died meanwhile: the listener says so
                connection.send(answer)

    def close(self) -> None:
        self._closing = True
        self._stop()
        self._wake.release()

    def _start(self) -> Channel:
        ours, theirs = socket.socketpair()
        with theirs:
            environment = {
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "OPENCV_FOR_THREADS_NUM": "1",
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            }
            self._process = subprocess.Popen(
                [sys.executable, "-m", "extract.decoder.process", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        self._connection = Channel(ours)
        return self._connection

    def _stop(self) -> int | None:
        """Kill the process; returns its exit status as ``subprocess`` gives it."""
        process, self._process = self._process, None
        connection, self._connection = self._connection, None
        if process is None:
            return None
        process.kill()
        status = process.wait()
        if connection is not None:
            connection.close()
        return status

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # it is tried again with the first job
            self._start()  # its imports go on while the first job is made
        while True:
            self._wake.acquire()
            if self._closing:
                self._stop()
                return
            job = self._job
            assert job is not None
            try:
                connection = self._connection or self._start()
                connection.send(job)
                last = self._relay(connection)
            except (OSError, EOFError):
                last = self._crash_report()
            if self._closing:
                return
            self._job = None
            self._deliver(self, last)

    def _relay(self, connection: Channel) -> Message:
        """Pass on messages until the video's last one, which is returned."""
        while connection.poll(self._stall_seconds):
            message: Message = connection.recv()
            if isinstance(message, Finished | VideoFailed):
                return message
            self._deliver(self, message)
        self._stop()
        return VideoFailed(
            "decode",
            "DecoderHang",
            f"the decoder did not respond for {self._stall_seconds:g} s and was killed; the file is "
            "probably damaged: try to remux it",
        )

    def _crash_report(self) -> VideoFailed:
        process = self._process
        status = None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(timeout=5)
        self._stop()
        if status is not None and status < 0:
            how = f"was killed by {signal.Signals(-status).name}"
        else:
            how = f"exited with status {status}"
        return VideoFailed(
            "decode",
            "DecoderCrash",
            f"the decoder process {how} on this file; the file is probably damaged: try to remux it",
        )
