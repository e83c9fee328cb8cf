"""Models that cannot be loaded because of the device."""

from __future__ import annotations

import pytest
import torch

from extract.engine.models import load_models
from extract.errors import DeviceUnusable, OutOfDeviceMemory
from extract.expert import Expert, Model, Resources, Streams
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
