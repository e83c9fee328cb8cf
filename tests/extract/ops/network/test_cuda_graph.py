"""Work that is launched as a whole does what it does by itself."""

from __future__ import annotations

import pytest
import torch

from extract.ops.network.cuda_graph import captured


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def test_each_call_does_the_work_once(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    total, step = torch.zeros(3, device=device), torch.ones(3, device=device)

    def add() -> None:
        total.add_(step)

    work = captured(add, torch.device(device))
    total.zero_()
    for _ in range(5):
        work()
    step.fill_(10)
    work()
    assert total.tolist() == [15.0] * 3
