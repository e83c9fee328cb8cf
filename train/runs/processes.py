"""The processes that train one model together: one for each GPU, or this one alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import nn

T = TypeVar("T")


def autocast(device: str | torch.device, precision: str) -> AbstractContextManager[None]:
    """Mixed arithmetic for ``float16`` and ``bfloat16``; with ``float32`` nothing is changed."""
    half = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(precision)
    return torch.autocast(torch.device(device).type, dtype=half, enabled=half is not None)


class Processes:
    """This process among those that train; of several, Lightning Fabric starts the others as copies of the
    command that this one runs.

    Attributes:
        rank, ranks: the number of this process and how many there are. That of rank 0 writes and speaks.
        device: what this process computes on.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        """``devices``: one for each process, all of one kind."""
        self._fabric: Any = _launched(devices) if len(devices) > 1 else None
        self.rank: int = self._fabric.global_rank if self._fabric else 0
        self.ranks: int = self._fabric.world_size if self._fabric else 1
        self.device: torch.device = self._fabric.device if self._fabric else torch.device(devices[0])

    def shared(self, module: nn.Module) -> nn.Module:
        """The module on this process's device; called as it is, but its gradients are the mean over all."""
        placed = module.to(self.device)
        return self._fabric.setup_module(placed) if self._fabric else placed

    def agreed(self, value: T) -> T:
        """What rank 0 has, in every process: devices may round differently, and all must decide alike."""
        return self._fabric.broadcast(value) if self._fabric else value


def _launched(devices: Sequence[str]) -> Any:
    from lightning.fabric import Fabric  # four seconds, which one process alone need not wait

    for name in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)  # what they say is for other programs' users
    kind = torch.device(devices[0]).type
    numbers = [torch.device(name).index for name in devices]
    fabric = Fabric(accelerator=kind, devices=len(devices) if kind == "cpu" else numbers, strategy="ddp")
    fabric.launch()
    return fabric
