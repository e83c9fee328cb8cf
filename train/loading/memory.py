"""Large arrays straight from the operating system, which get them back as soon as they are free."""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LARGE_BYTES = 1 << 20


def zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array of zeros. A large one is a mapping of its own, of huge pages where the system has them.

    Blocks and batches of some MB come and go on several threads. The C library would keep them in a pool
    for each thread, full of gaps, so that memory grows well beyond what is in use.
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if size < _LARGE_BYTES:
        return np.zeros(shape, kind)
    memory = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # Linux; a hint
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, kind).reshape(shape)
