"""Messages between a decoder and its owner, over a socket: arrays as they lie in memory.

A message is pickled with protocol 5, whose buffers stay outside of the pickle (PEP 574); they follow it on
the socket and are received into the memory that the arrays then have. Nothing outlives the two processes:
whichever is killed, the kernel throws away what was on its way. (Through shared memory it takes longer:
:mod:`bench.transport`.)
"""

from __future__ import annotations

import pickle
import socket
import struct
from multiprocessing.connection import wait
from typing import Any

import numpy as np

_COUNTS = struct.Struct("!QQ")  # bytes of the pickle, number of buffers


class Channel:
    """One end. One thread may send while another one receives."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def send(self, message: object) -> None:
        """Raises OSError if the other end is gone."""
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
        views = [buffer.raw() for buffer in buffers]
        sizes = struct.pack(f"!{len(views)}Q", *(view.nbytes for view in views))
        self._socket.sendall(b"".join((_COUNTS.pack(len(pickled), len(views)), sizes, pickled)))
        for view in views:
            self._socket.sendall(view)

    def recv(self) -> Any:
        """Raises EOFError or OSError if the other end is gone."""
        length, count = _COUNTS.unpack(self._read(_COUNTS.size))
        sizes = struct.unpack(f"!{count}Q", self._read(8 * count))
        pickled = self._read(length)
        return pickle.loads(pickled, buffers=[self._read(size) for size in sizes])

    def poll(self, timeout: float) -> bool:
        """Whether a message comes within so many seconds, or the other end goes.

        Raises OSError if this end was closed.
        """
        try:
            return bool(wait([self._socket], timeout))
        except ValueError as error:  # what a selector says to a closed socket
            raise OSError("this end is closed") from error

    def close(self) -> None:
        self._socket.close()

    def _read(self, size: int) -> memoryview:
        memory = np.empty(size, np.uint8).data  # not a bytearray, which would be filled with zeros
        left = memory
        while len(left):
            count = self._socket.recv_into(left)
            if not count:
                raise EOFError("the other end is gone")
            left = left[count:]
        return memory
