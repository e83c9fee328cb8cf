"""Arrays come back when nothing refers to them, never before, and a pass maps a bounded number of them."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
import pytest
import torch

from tests.fixtures.features import DIMS, feature_store, names
from train.loading import memory
from train.loading.batch import Batch
from train.loading.features import FeatureSet
from train.loading.memory import Arrays
from train.loading.readahead import torch_threads
from train.loading.steps import Steps
from train.loading.stream import Loader, Stream

MIB = 1 << 20


def place(array: Any) -> int:
    return int(array.ctypes.data)


def test_memory_is_used_again_only_when_the_last_view_is_gone() -> None:
    arrays = Arrays(most_free_bytes=64 * MIB)
    first = arrays.empty((1024, 1024), np.float32)
    where = place(first)
    tensor = torch.from_numpy(first)[5:].view(-1)
    del first
    assert place(arrays.empty((1024, 1024), np.float32)) != where, "a tensor still refers to it"
    del tensor
    again = arrays.empty((1000, 1000), np.float32)
    assert place(again) == where and again.shape == (1000, 1000)


def test_what_is_beyond_the_limit_goes_back_to_the_system() -> None:
    arrays = Arrays(most_free_bytes=5 * MIB)
    held = [arrays.empty((4 * MIB,), np.uint8) for _ in range(3)]
    held.clear()
    arrays.empty((MIB,), np.uint8)
    assert arrays._free_bytes <= 5 * MIB


def test_an_array_may_outlive_its_pool() -> None:
    arrays = Arrays(most_free_bytes=64 * MIB)
    array = arrays.empty((2 * MIB,), np.uint8)
    array[:] = 7
    del arrays
    assert array.sum(dtype=np.int64) == 7 * 2 * MIB


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> FeatureSet:
    return FeatureSet.open(feature_store(tmp_path_factory.mktemp("store") / "out", names(200)))


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the mappings that are made; every array counts as a large one."""
    made: list[int] = []
    real = mmap.mmap

    def counted(number: int, size: int) -> mmap.mmap:
        made.append(size)
        return real(number, size)

    monkeypatch.setattr(memory, "_LARGE_BYTES", 1)
    monkeypatch.setattr(mmap, "mmap", counted)
    return made


def test_a_longer_pass_maps_no_more_than_a_short_one(features: FeatureSet, mapped: list[int]) -> None:
    steps = {expert: Steps(1) for expert in DIMS}  # so that batches are of one size

    def mappings(videos: int) -> int:
        mapped.clear()
        stream = Stream(2, steps=steps, buffer_bytes=1500, threads=2)
        batches = sum(1 for _ in Loader(features, names(videos), stream=stream, shuffle=True))
        assert batches == videos // 2
        return len(mapped)

    assert mappings(200) < 2 * mappings(50)


def test_a_batch_stays_as_it_is_while_it_is_held(features: FeatureSet, mapped: list[int]) -> None:
    held = list(Loader(features, names(60), stream=Stream(2, buffer_bytes=3000), shuffle=True))
    one_by_one = Loader(features, names(60), stream=Stream(2, buffer_bytes=3000), shuffle=True)
    for kept, fresh in zip(held, one_by_one, strict=True):
        assert kept.ids == fresh.ids
        for expert, values in fresh.features.items():
            assert torch.equal(kept.features[expert], values)
            assert not kept.features[expert][kept.padding[expert]].any()
    assert mapped


def test_batches_for_a_gpu_are_pinned(features: FeatureSet, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Tensor] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor.clone())
        return pinned[-1]

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)

    def all_of(batch: Batch) -> list[torch.Tensor]:
        groups = (batch.features, batch.padding, batch.present, batch.start_seconds)
        return [tensor for group in groups for tensor in group.values()]

    for batch in Loader(features, names(10), stream=Stream(4, pin=True)):
        assert all(any(tensor is other for other in pinned) for tensor in all_of(batch))
    pinned.clear()
    list(Loader(features, names(10), stream=Stream(4)))
    assert not pinned


def test_threads_that_pad_have_torch_to_themselves() -> None:
    others = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch_threads(3, "test") as pool:
            assert {pool.submit(torch.get_num_threads).result() for _ in range(12)} == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(others)
