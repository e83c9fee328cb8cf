"""The device's side of a batch: how it gets there, and what is done when there is no room for it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from extract.ops.network.device_errors import trouble_of
from extract.ops.network.pinned import pinned

if TYPE_CHECKING:
    import torch


_forget: list[Callable[[], None]] = []


def to_device(batch: NDArray[Any] | torch.Tensor, device: str | torch.device) -> torch.Tensor:
    """The batch as a tensor on ``device``; it may share the memory of ``batch`` on the CPU.

    To a GPU it goes through pinned memory where there is room (:mod:`extract.ops.network.pinned`), and this
    returns before it has arrived. That is safe: what reads the tensor is queued behind the copy on the same
    stream, and PyTorch gives the pinned block to nobody else before the copy is over.
    """
    import torch

    tensor = torch.from_numpy(batch) if isinstance(batch, np.ndarray) else batch
    if torch.device(device).type == "cuda" and tensor.device.type == "cpu":
        return pinned(tensor).to(device, non_blocking=True)
    return tensor.to(device)


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device had no room. Asking does not import torch."""
    return trouble_of(error) == "full"


def kept_on_device(forget: Callable[[], None]) -> Callable[[], None]:
    """Decorates what frees memory that is kept between calls and made again when it is needed."""
    _forget.append(forget)
    return forget


def free_device_memory() -> None:
    """Give back what is kept or cached and not in use. An error that is still held keeps its tensors."""
    for forget in _forget:
        forget()
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
