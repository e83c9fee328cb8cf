"""Pinned memory is bounded, whatever shapes come: PyTorch's allocator is pretended, and counts its bytes."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from extract.engine.credit import item_bytes, lane_credits
from extract.engine.engine import Engine
from extract.engine.machine import Machine
from extract.engine.models import Models
from extract.engine.requests import QueuedItem
from extract.expert import Resources, Stacked, StagedModel
from extract.experts._frames import FramesModel
from extract.experts._pictures import Normalisation, PictureModel
from extract.ops.network import pinned as module
from extract.ops.network.pinned import limit_pinned_memory, pinned
from extract.selection import Selection
from extract.types import Item
from tests.extract.engine.test_lanes import VIDEO, Bench

MIB = 1 << 20


class HostAllocator:
    """Blocks of powers of two, lent as long as their tensor is there, and then kept: as PyTorch's."""

    def __init__(self) -> None:
        self.lent: dict[int, int] = {}  # bytes of a block, by the tensor that it holds
        self.kept: Counter[int] = Counter()  # blocks of so many bytes
        self.peak = self.largest = self.made = self.given_back = 0

    @property
    def held(self) -> int:
        return sum(self.lent.values()) + sum(size * count for size, count in self.kept.items())

    def pin(self, tensor: torch.Tensor) -> torch.Tensor:
        size = 1 << (tensor.nbytes - 1).bit_length()
        if self.kept[size]:
            self.kept[size] -= 1
        else:
            self.made += 1
        copy = tensor.clone()
        self.lent[id(copy)] = size
        weakref.finalize(copy, self._back, id(copy))
        self.peak, self.largest = max(self.peak, self.held), max(self.largest, size)
        return copy

    def _back(self, tensor: int) -> None:
        self.kept[self.lent.pop(tensor)] += 1

    def empty(self) -> None:
        self.given_back += self.kept.total()
        self.kept.clear()

    def stats(self) -> dict[str, Any]:
        return {"allocated_bytes": {"current": self.held}}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> HostAllocator:
    allocator = HostAllocator()
    monkeypatch.setattr(module, "_most_bytes", float("inf"))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: allocator.pin(tensor))
    monkeypatch.setattr(torch.accelerator, "empty_host_cache", allocator.empty)
    monkeypatch.setattr(torch.cuda.memory, "host_memory_stats_as_nested_dict", allocator.stats)
    return allocator


def test_blocks_of_other_shapes_are_given_back(host: HostAllocator) -> None:
    limit_pinned_memory(4 * MIB)
    for size in (MIB, 2 * MIB, MIB // 2, 3 * MIB, MIB):
        copy = pinned(torch.zeros(size, dtype=torch.uint8))
        assert host.lent and host.held <= 4 * MIB
        del copy
    assert host.given_back


def test_a_shape_that_comes_again_takes_its_block_again(host: HostAllocator) -> None:
    limit_pinned_memory(4 * MIB)
    for _ in range(10):
        two = [pinned(torch.zeros(3 * MIB // 2, dtype=torch.uint8)) for _ in range(2)]
        del two
    assert (host.made, host.given_back, host.held) == (2, 0, 4 * MIB)


def test_what_finds_no_room_is_not_pinned(host: HostAllocator) -> None:
    limit_pinned_memory(4 * MIB)
    large = torch.zeros(4 * MIB + 1, dtype=torch.uint8)
    assert pinned(large) is large and not host.made
    first = pinned(torch.zeros(3 * MIB, dtype=torch.uint8))
    second = torch.zeros(MIB, dtype=torch.uint8)
    assert pinned(second) is second
    assert host.held == 4 * MIB
    del first
    assert pinned(second) is not second


def test_older_versions_that_say_nothing_bound_each_copy(
    host: HostAllocator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(torch.cuda.memory, "host_memory_stats_as_nested_dict")
    limit_pinned_memory(MIB)
    copies = [pinned(torch.zeros(MIB, dtype=torch.uint8)) for _ in range(2)]
    assert host.held == 2 * MIB and len(copies) == 2
    large = torch.zeros(2 * MIB, dtype=torch.uint8)
    assert pinned(large) is large


class OnTheHost:
    """A device whose memory is the host's; an upload holds its pinned copies until it is computed."""

    def upload(self, arrays: Stacked) -> list[torch.Tensor]:
        return [pinned(torch.from_numpy(array)) for array in arrays]

    def compute(self, model: StagedModel, uploaded: Any) -> torch.Tensor:
        return model.compute(uploaded)

    def download(self, outputs: torch.Tensor) -> NDArray[np.floating]:
        return outputs.numpy()


class WithStages(Machine):
    def streams(self, device: str) -> OnTheHost:
        return OnTheHost()


class Means(PictureModel):
    """Pictures to their mean."""

    def __init__(self) -> None:
        super().__init__(torch.nn.Identity(), Resources(batch_size=4), Normalisation((0,) * 3, (1,) * 3))
        self.resources.device = "cuda:0"

    def compute(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        return inputs[0].float().mean((1, 2, 3))[:, None]


@pytest.fixture
def lanes() -> Iterator[Bench]:
    model = FramesModel(Means())
    made = Bench(model, batch_size=4, resources=model.resources, machine=WithStages())
    yield made
    made.lanes.close()


def shot(pictures: int, side: int) -> Item:
    return Item(0.0, 1.0, {"images": np.full((pictures, side, side, 3), pictures, np.uint8)}, {"scene": 0})


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_shots_of_any_length_stay_within_the_room_for_items(
    host: HostAllocator, lanes: Bench, share: float
) -> None:
    """Four batches of the largest shot, as :class:`Credit` has it; or a tenth of that."""
    rng = np.random.default_rng(0)
    shots = [shot(int(rng.integers(1, 65)), 16) for _ in range(80)]
    most = int(share * 4 * 4 * max(map(item_bytes, shots)))
    limit_pinned_memory(most)
    for number, item in enumerate(shots):
        lanes.lanes.items["one"].put(QueuedItem(VIDEO, number, item))
    rows: list[Any] = []
    while len(rows) < len(shots):
        batch = lanes.next()
        assert batch.error is None
        rows += batch.results
        assert host.held <= most
    means = [row["embedding"][0] for (row,) in rows]
    assert means == [len(item.arrays["images"]) for item in shots]
    assert host.made and (host.given_back or share == 1.0)
    assert host.peak <= most + host.largest


def test_an_engine_may_pin_what_its_device_lane_may_have_in_flight(host: HostAllocator) -> None:
    selection = Selection({}, {}, {}, {}, {})
    with Engine(selection, models=Models({})) as engine:
        room = lane_credits(selection, 1, 1, engine.settings.queue_bytes)["device"].most_bytes
        assert module._most_bytes == room > 0


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_what_pytorch_holds_is_counted_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The allocator itself, emptied before: the block of one shape makes room for that of another."""
    torch.accelerator.empty_host_cache()
    monkeypatch.setattr(module, "_most_bytes", module._held_bytes() + 8 * MIB)
    for size in (3 * MIB, 5 * MIB, 3 * MIB, 9 * MIB):
        copy = pinned(torch.ones(size, dtype=torch.uint8))
        assert copy.is_pinned() == (size < 8 * MIB)
        assert module._held_bytes() <= module._most_bytes
        del copy
