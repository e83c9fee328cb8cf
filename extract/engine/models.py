"""The models of a selection, loaded once for all videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from extract.declarations import Expert, Model, PassThrough, Resources
from extract.detectors.service import Predict
from extract.errors import OutOfDeviceMemory
from extract.ops.network.device import is_out_of_memory
from extract.ops.network.device_errors import MAKE_ROOM, as_device_error, reason_of
from extract.selection import Selection


@dataclass(frozen=True)
class Models:
    """A model for each expert, and the shot network if the detector has one.

    ``resources``, by expert, and ``shot_resources`` are what they were loaded with: lowering the
    batch size there lowers what the model puts on the device from its next batch on.
    """

    by_expert: Mapping[str, Model]
    predict: Predict | None = None
    resources: Mapping[str, Resources] = field(default_factory=dict)
    shot_resources: Resources | None = None


def load_models(selection: Selection, *, batch_size: int) -> Models:
    """Raises WeightsError or MissingDependency where a model cannot be loaded, OutOfDeviceMemory where there
    is no room for it, and DeviceUnusable where the device refuses, or cannot decode pictures as it should.
    """
    selection.check_decoder()
    resources = {
        name: Resources(
            device=selection.device,
            precision=expert.computed_in(selection.precision),
            batch_size=items_at_once(expert, batch_size, selection.device),
            weights={role: w.path for role, w in selection.weights.get(name, {}).items()},
            random_seed=selection.random_seed,
        )
        for name, expert in selection.experts.items()
    }
    by_expert: dict[str, Model] = {}
    for name, expert in selection.experts.items():
        with _one_line(name, selection.device):
            by_expert[name] = PassThrough() if expert.lane == "none" else expert.load(resources[name])
    service = selection.shot_service
    if service is None:
        return Models(by_expert, resources=resources)
    shot_resources = resources[service.name]
    with _one_line(service.name, selection.device):
        predict = service.predictor(shot_resources)
    return Models(by_expert, predict, resources, shot_resources)


def items_at_once(expert: Expert, batch_size: int, device: str) -> int:
    """Of an expert in a batch, where the run's batch size is this."""
    return batch_size * (1 if device == "cpu" else expert.larger_batches)


@contextmanager
def _one_line(expert: str, device: str) -> Iterator[None]:
    """What a device says while a model goes there, with what can be done about it."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfDeviceMemory(
                f"the network of {expert} does not fit into the memory of {device} ({reason_of(error)}): "
                f"{MAKE_ROOM}"
            ) from error
        ours = as_device_error(error, loading=True)
        if ours is error:
            raise
        raise ours from error
