"""Batches of few shapes, on a CPU of one, so that a row does not depend on the batch it rode in.

BLAS libraries choose other kernels, and so other roundings, for other shapes. A network that
always sees the same batch shape gives each row the same bits whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

Output = TypeVar("Output", bound=Any)  # an array or a tensor

CPU_BATCH = 4  # on a CPU larger batches gain nothing, and padding a small one costs little


def network_batch(device: str, batch_size: int) -> int:
    """Rows that a network sees at once: fixed on the CPU, the wanted size on an accelerator."""
    return CPU_BATCH if device == "cpu" else batch_size


def fixed_batches(network: Callable[[Any], Output], inputs: Any, size: int, *, device: str = "cpu") -> Output:
    """``network`` over ``inputs`` (n, ...) in batches of ``size``, the last one padded.

    To ``size`` on a CPU, where that keeps a row's bits; on an accelerator, where a large batch costs what it
    holds, to the next power of two. Padding repeats the last row; its outputs are dropped. Arrays, or tensors
    of the device; returns (n, ...), in order.
    """
    outputs = []
    for start in range(0, len(inputs), size):
        part = inputs[start : start + size]
        there = len(part)
        whole = size if device == "cpu" else min(size, 1 << (there - 1).bit_length())
        if there < whole:
            part = _joined([part, *[part[-1:]] * (whole - there)])
        outputs.append(network(part)[:there])
    joined: Output = outputs[0] if len(outputs) == 1 else _joined(outputs)
    return joined


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    import torch

    return torch.cat(list(parts))
