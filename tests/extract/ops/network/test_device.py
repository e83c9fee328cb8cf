from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from extract.ops.network import device
from extract.ops.network.device import free_device_memory, is_out_of_memory, to_device


def test_a_batch_for_the_cpu_is_not_copied() -> None:
    batch = np.arange(6, dtype=np.uint8).reshape(2, 3)
    tensor = to_device(batch, "cpu")
    assert tensor.dtype == torch.uint8
    assert tensor.data_ptr() == batch.ctypes.data
    assert to_device(tensor, torch.device("cpu")) is tensor


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_batch_for_a_gpu_arrives_whole() -> None:
    """Many copies in a row: a pinned block that was given away too early would show."""
    batches = [np.full((64, 224, 224, 3), number, np.uint8) for number in range(20)]
    sums = [to_device(batch, "cuda").sum(dtype=torch.int64) for batch in batches]
    assert [int(total) for total in sums] == [int(batch.sum(dtype=np.int64)) for batch in batches]
    kept = to_device(np.ones((4, 5), np.float32)[:, None], "cuda")
    assert (kept.shape, kept.is_cuda) == ((4, 1, 5), True)


def test_what_counts_as_out_of_memory() -> None:
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert not is_out_of_memory(MemoryError("of the host"))


def test_the_cache_is_emptied_only_where_a_gpu_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    free_device_memory()
    assert emptied == []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    free_device_memory()
    assert emptied == [True]


def test_what_is_kept_on_the_device_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(device, "_forget", [])
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: order.append("cache"))
    device.kept_on_device(lambda: order.append("plans"))
    free_device_memory()
    assert order == ["plans", "cache"]


def test_lanes_do_not_import_torch() -> None:
    code = """
import sys
import extract.engine.lanes
from extract.ops.network.device import free_device_memory, is_out_of_memory
assert not is_out_of_memory(RuntimeError("x"))
free_device_memory()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
