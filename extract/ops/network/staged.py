"""A model in three steps, so that on an accelerator those of the host run beside the device's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from extract.declarations import Resources
from extract.ops.network.batching import network_batch
from extract.ops.network.device import to_device
from extract.types import Item, Row

if TYPE_CHECKING:
    import torch

Stacked = Sequence[NDArray[Any]]


class StagedModel(ABC):
    """Items to rows: the host stacks what they carry, the device computes, the host makes rows.

    One after another in :meth:`__call__`, which is the way of CPUs; of the parts of batches on an accelerator
    the engine does all three at once (:mod:`extract.engine.stages`).
    """

    resources: Resources

    @property
    def items_at_once(self) -> int:
        """The most items in a part, asked for each: the engine halves the batch when memory runs short."""
        return network_batch(self.resources.device, self.resources.batch_size)

    @abstractmethod
    def stack(self, items: Sequence[Item]) -> Stacked:
        """What goes to the device."""

    @abstractmethod
    def compute(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """A tensor on the device, of what :meth:`stack` gave; nothing is waited for."""

    @abstractmethod
    def rows(self, items: Sequence[Item], values: NDArray[np.floating]) -> list[list[Row]]:
        """A list of rows for each item, of what :meth:`compute` gave."""

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        rows: list[list[Row]] = []
        while len(rows) < len(items):
            part = items[len(rows) : len(rows) + self.items_at_once]
            inputs = [to_device(array, self.resources.device) for array in self.stack(part)]
            rows += self.rows(part, to_host(self.compute(inputs)))
        return rows


def to_host(values: torch.Tensor) -> NDArray[np.floating]:
    """float32, waited for."""
    array: NDArray[np.floating] = values.float().cpu().numpy()
    return array
