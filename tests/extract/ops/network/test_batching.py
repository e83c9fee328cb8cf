"""Which batches a network sees."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from extract.ops.network.batching import fixed_batches


@pytest.mark.parametrize(
    ("device", "size", "items", "seen"),
    [
        ("cpu", 4, 6, [4, 4]),
        ("cpu", 64, 1, [64]),
        ("cuda:0", 64, 1, [1]),
        ("cuda:0", 64, 2, [2]),
        ("cuda:0", 64, 33, [64]),
        ("cuda:0", 64, 64 + 5, [64, 8]),
        ("cuda:0", 48, 40, [48]),  # no larger than what fits
    ],
)
def test_the_last_batch_is_padded(device: str, size: int, items: int, seen: list[int]) -> None:
    batches: list[int] = []

    def network(inputs: NDArray[np.generic]) -> NDArray[np.floating]:
        batches.append(len(inputs))
        return inputs.astype(np.float32) * 2

    inputs = np.arange(items)
    np.testing.assert_array_equal(fixed_batches(network, inputs, size, device=device), inputs * 2)
    assert batches == seen
