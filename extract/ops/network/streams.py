"""Copies to and from a GPU beside its computing: a CUDA stream for each of the three.

Each method is called from a thread of its own, always the same. None of this has run on a GPU yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from extract.ops.network.device import to_device
from extract.ops.network.staged import Stacked, StagedModel, to_host

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Uploaded:
    """Tensors that may still be on their way to the device, and the event behind their copies."""

    tensors: Sequence[torch.Tensor]
    arrived: torch.cuda.Event


class DeviceStreams:
    """The streams of one device. PyTorch lends pinned memory out again when its copy is over."""

    def __init__(self, device: str) -> None:
        import torch

        self._device = torch.device(device)
        self._up = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        self._down = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    def upload(self, arrays: Stacked) -> Uploaded:
        """Start to copy arrays to the device; returns before they have arrived."""
        import torch

        with torch.cuda.stream(self._up):
            tensors = [to_device(array, self._device) for array in arrays]
            return Uploaded(tensors, self._up.record_event())

    def compute(self, model: StagedModel, uploaded: Uploaded) -> torch.Tensor:
        """What the model makes of them, on the device; waits until it is there.

        So an error comes up with the part that it is about, and a copy back waits for nothing.
        """
        import torch

        stream = torch.cuda.current_stream(self._device)
        stream.wait_event(uploaded.arrived)
        for tensor in uploaded.tensors:
            tensor.record_stream(stream)  # whose memory belongs to the other stream
        outputs = model.compute(uploaded.tensors)
        stream.synchronize()
        return outputs

    def download(self, outputs: torch.Tensor) -> NDArray[np.floating]:
        """The computed values on the host, float32; the next part's computing is not waited for."""
        import torch

        with torch.cuda.stream(self._down):
            return to_host(outputs)
