"""The models of a selection, loaded once for all videos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

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
    batch size there lowers what the model puts on the device from its next batch on. ``all_there``: none is
    still being loaded.
    """

    by_expert: Mapping[str, Model]
    predict: Predict | None = None
    resources: Mapping[str, Resources] = field(default_factory=dict)
    shot_resources: Resources | None = None
    all_there: bool = True


def load_models(selection: Selection, *, batch_size: int) -> Models:
    """All of them. Raises what :func:`models_as_they_load` does."""
    *_, models = models_as_they_load(selection, batch_size=batch_size)
    return models


def models_as_they_load(selection: Selection, *, batch_size: int) -> Iterator[Models]:
    """Those that are there, again and again: none at first, with all resources, and all of them at last.

    In between on a CPU alone: on an accelerator nothing shall be computed in memory that a network needs.

    Raises WeightsError or MissingDependency where a model cannot be loaded, OutOfDeviceMemory where there
    is no room for it, and DeviceUnusable where the device refuses, or cannot decode pictures as it should.
    """
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
    service = selection.shot_service
    shot_resources = resources[service.name] if service else None
    models = Models({}, None, resources, shot_resources, all_there=False)
    yield models
    selection.check_decoder()
    if service is not None and shot_resources is not None:  # decoders wait for its answers
        with _one_line(service.name, selection.device):
            models = replace(models, predict=service.predictor(shot_resources))
    for name, expert in selection.experts.items():
        if selection.device == "cpu":
            yield models
        with _one_line(name, selection.device):
            model = PassThrough() if expert.lane == "none" else expert.load(resources[name])
        models = replace(models, by_expert={**models.by_expert, name: model})
    yield replace(models, all_there=True)


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
