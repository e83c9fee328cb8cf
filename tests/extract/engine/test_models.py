"""Models that cannot be loaded because of the device."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
import torch

from extract.engine.credit import BATCHES, item_bytes, lane_credits
from extract.engine.lanes import Lanes
from extract.engine.models import load_models
from extract.errors import DeviceUnusable, OutOfDeviceMemory
from extract.expert import Expert, Item, Model, PassThrough, Resources, Streams
from extract.selection import Selection


class Large(Expert):
    error: Exception

    def streams(self) -> Streams:
        return Streams(audio_rate=16_000)

    def load(self, resources: Resources) -> Model:
        raise self.error


def load(error: Exception) -> None:
    expert = Large()
    expert.error = error
    load_models(Selection({"large": expert}, {}, {}, {}, {}, device="cuda:0"), batch_size=64)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore of it"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    ],
)
def test_no_room_for_a_network_is_one_line_with_the_remedy(error: Exception) -> None:
    with pytest.raises(OutOfDeviceMemory, match=r"network of large .* cuda:0 .*--device cpu") as told:
        load(error)
    assert "\n" not in str(told.value)


def test_a_device_that_is_broken_from_the_start_ends_the_run() -> None:
    with pytest.raises(DeviceUnusable, match="unspecified launch failure"):
        load(RuntimeError("CUDA error: unspecified launch failure"))


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ValueError, match=r"^planted$"):
        load(ValueError("planted"))


@pytest.mark.parametrize(("device", "expected"), [("cpu", 16), ("cuda:0", 64)])
def test_an_accelerator_takes_larger_batches_of_small_items(device: str, expected: int) -> None:
    class Small(Large):
        larger_batches = 4

        def load(self, resources: Resources) -> Model:
            assert resources.batch_size == expected
            return PassThrough()

    selection = Selection({"small": Small()}, {}, {}, {}, {}, device=device)
    models = load_models(selection, batch_size=16)
    lanes = Lanes(selection.experts, models, Mock(), batch_size=16, host_threads=1)
    assert lanes.items["small"].size == expected
    lanes.close()
    credit = lane_credits(selection, 16, 1, 1 << 30)["device"]
    item = Item(0.0, 1.0)
    credit.take("decoder", "small", item)
    assert credit.limit == BATCHES * expected * item_bytes(item)
