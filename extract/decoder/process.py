"""A decoder process: decodes one video at a time, so that a crash or a hang costs one video.

It is started as ``python -m extract.decoder.process FD`` on one end of a socket pair, not through
``multiprocessing``, so it never imports the caller's ``__main__`` (notebooks and scripts without a
main guard work) and never imports torch. It leaves when its owner's end of the socket closes.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import sys
import time

import numpy as np
from numpy.typing import NDArray

from extract.decoder.channel import Channel
from extract.decoder.messages import (
    DecodeJob,
    Finished,
    Message,
    Progress,
    ShotWindow,
    VideoFailed,
    WindowAnswer,
)
from extract.decoder.reader import read_video
from extract.media.unchanged import unchanged

HEARTBEAT_SECONDS = 1.0
CPU_SECONDS_FLOOR = 900
CPU_SECONDS_PER_MEGABYTE = 10  # far above any codec's cost: stops decoders that spin, nothing else


class _Link:
    """The decoder's end of the socket; also the predictor of the shot network."""

    def __init__(self, connection: Channel) -> None:
        self._connection = connection
        self._outstanding = 0
        self._busy_since = time.monotonic()
        self._busy_seconds = 0.0
        self._next_heartbeat = 0.0

    def send(self, message: Message) -> None:
        self._pause()
        try:
            self._connection.send(message)
        except OSError:
            sys.exit(0)  # the owner is gone
        self._resume()

    def receive(self) -> DecodeJob | WindowAnswer:
        self._pause()
        try:
            message: DecodeJob | WindowAnswer = self._connection.recv()
        except (OSError, EOFError):
            sys.exit(0)
        self._resume()
        return message

    def step(self) -> None:
        now = time.monotonic()
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + HEARTBEAT_SECONDS
            self.send(Progress(self.take_busy_seconds()))

    def take_busy_seconds(self) -> float:
        """Seconds of work (not of waiting for the owner) since the last call."""
        self._pause()
        self._resume()
        busy, self._busy_seconds = self._busy_seconds, 0.0
        return busy

    def _pause(self) -> None:
        self._busy_seconds += time.monotonic() - self._busy_since

    def _resume(self) -> None:
        self._busy_since = time.monotonic()

    def submit(self, window: NDArray[np.uint8]) -> None:
        self._outstanding += 1
        self.send(ShotWindow(window))

    def poll(self, *, wait: bool) -> NDArray[np.float32] | None:
        if not self._outstanding:
            return None
        if not wait and not self._connection.poll(0):
            return None
        message = self._answer()
        if message.values is None:
            raise RuntimeError(f"the shot network failed: {message.error}")
        return message.values

    def drain(self) -> None:
        """Take the answers that are still on their way, lest the next video takes them for its own."""
        while self._outstanding:
            self._answer()

    def _answer(self) -> WindowAnswer:
        self._pause()
        while not self._connection.poll(HEARTBEAT_SECONDS):
            self._resume()
            self.send(Progress(0.0))  # waiting is not hanging
            self._pause()
        self._resume()
        message = self.receive()
        assert isinstance(message, WindowAnswer)
        self._outstanding -= 1
        return message


def _limit_cpu(path: bytes) -> None:
    """A decoder that spins on a crafted file is stopped by the kernel (SIGXCPU)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    try:
        megabytes = os.path.getsize(path) / 1e6
    except OSError:
        megabytes = 0.0
    allowed = used.ru_utime + used.ru_stime + CPU_SECONDS_FLOOR + CPU_SECONDS_PER_MEGABYTE * megabytes
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(allowed) if hard == resource.RLIM_INFINITY else min(int(allowed), hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _decode(job: DecodeJob, link: _Link) -> Message:
    _limit_cpu(job.path)
    try:
        with unchanged(job.path):
            facts, counts = read_video(job, link.send, link, link.step)
    except Exception as error:
        return VideoFailed("decode", type(error).__name__, str(error) or repr(error))
    pictures = facts.get("frames")
    if pictures is None and job.scenes:
        pictures = job.scenes[-1].end_frame
    return Finished(facts, counts.pictures_decoded, pictures, link.take_busy_seconds())


def serve(connection: Channel) -> None:
    """Answer jobs until the owner closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to handle
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.getLogger("libav").setLevel(logging.CRITICAL)  # damage is counted, not printed
    while True:
        link = _Link(connection)
        job = link.receive()
        assert isinstance(job, DecodeJob)
        outcome = _decode(job, link)
        link.drain()
        link.send(outcome)


if __name__ == "__main__":
    serve(Channel(socket.socket(fileno=int(sys.argv[1]))))
