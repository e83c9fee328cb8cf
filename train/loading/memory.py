"""Large arrays that are used again: touching fresh memory takes longer than filling memory that is there."""

from __future__ import annotations

import math
import mmap
import threading
import weakref
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LARGE_BYTES = 1 << 20


class Arrays:
    """Arrays out of memory that comes back by itself when nothing refers to an array any more.

    So what somebody still holds is never given out again, however many batches are prepared ahead, and a
    pass maps as much as is in use at a time. ``most_free_bytes`` are kept for the next array; what is beyond
    goes back to the operating system.

    Large arrays are mappings of their own, of huge pages where the system has them: blocks and batches of
    some MB come and go on several threads, and the C library would keep a pool full of gaps for each.
    """

    def __init__(self, most_free_bytes: int) -> None:
        self._most_free_bytes = most_free_bytes
        self._free: dict[int, list[mmap.mmap]] = {}  # by size
        self._free_bytes = 0
        self._lock = threading.Lock()
        # What came back and is not counted yet. An array may end at any moment, also while the lock is held
        # by the same thread, so its end only adds to a queue.
        self._back: deque[mmap.mmap] = deque()

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array that holds anything."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        if size < _LARGE_BYTES:
            return np.empty(shape, kind)
        memory = self._take(_capacity(size))
        flat = np.frombuffer(memory, kind, math.prod(shape))
        # Every view of it, and every tensor made of it, refers to this array.
        weakref.finalize(flat, _give_back, weakref.ref(self), memory).atexit = False
        return flat.reshape(shape)

    def _take(self, capacity: int) -> mmap.mmap:
        with self._lock:
            self._count_back()
            fitting = [size for size, free in self._free.items() if free and capacity <= size <= 2 * capacity]
            if fitting:
                self._free_bytes -= min(fitting)
                return self._free[min(fitting)].pop()
        memory = mmap.mmap(-1, capacity)
        if hasattr(mmap, "MADV_HUGEPAGE"):  # Linux; a hint
            memory.madvise(mmap.MADV_HUGEPAGE)
        return memory

    def _count_back(self) -> None:
        while self._back:
            memory = self._back.popleft()
            if self._free_bytes + len(memory) <= self._most_free_bytes:
                self._free.setdefault(len(memory), []).append(memory)
                self._free_bytes += len(memory)


def _give_back(arrays: weakref.ref[Arrays], memory: mmap.mmap) -> None:
    owner = arrays()
    if owner is not None:
        owner._back.append(memory)


def _capacity(size: int) -> int:
    """The next of 1, 1.25, 1.5 and 1.75 times a power of two: arrays of about one size share memory."""
    step = 1 << max(size.bit_length() - 3, 0)
    return -(-size // step) * step
