"""Pinned memory: pages of the host that stay where they are, so that a GPU copies from them beside all else.

PyTorch lends it in blocks of powers of two and keeps the blocks that come back, for later copies of that
size, so what a process holds grows with every new shape. Here that is bounded. The memory is the
process's, and so is the bound.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_most_bytes: float = math.inf
_lock = threading.Lock()


def limit_pinned_memory(most_bytes: float) -> None:
    """How many bytes this process may hold from now on, lent and kept ones."""
    global _most_bytes
    _most_bytes = most_bytes


def pinned(tensor: torch.Tensor) -> torch.Tensor:
    """A pinned copy of a tensor of the host; the tensor, which is copied slower, where there is no room.

    Blocks that are kept for other shapes are given back first. The bound is passed for a moment, by the block
    that shows it. Older versions of PyTorch do not say what they hold: there each copy alone is
    bounded.
    """
    import torch

    if 1 << max(tensor.nbytes - 1, 0).bit_length() > _most_bytes:
        return tensor
    copy = tensor.pin_memory()
    give_back = getattr(torch.accelerator, "empty_host_cache", None) or torch._C._host_emptyCache
    with _lock:
        if _held_bytes() <= _most_bytes:
            return copy
        give_back()
        if _held_bytes() <= _most_bytes:
            return copy
        del copy
        give_back()
    return tensor


def _held_bytes() -> int:
    """In all blocks, lent and kept ones."""
    from torch.cuda import memory

    stats: dict[str, Any] = getattr(memory, "host_memory_stats_as_nested_dict", dict)()
    of_all = stats.get("reserved_bytes") or stats.get("allocated_bytes") or {}  # the former in older versions
    held: int = of_all.get("current", 0)
    return held
