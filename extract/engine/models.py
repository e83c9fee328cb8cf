"""The models of a selection, loaded once for all videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from extract.declarations import Model, PassThrough, Resources
from extract.detectors.service import Predict
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
    """Raises WeightsError or MissingDependency where a model cannot be loaded."""
    resources = {
        name: Resources(
            device=selection.device,
            precision=selection.precision,
            batch_size=batch_size,
            weights={role: w.path for role, w in selection.weights.get(name, {}).items()},
            random_seed=selection.random_seed,
        )
        for name in selection.experts
    }
    by_expert = {
        name: PassThrough() if expert.lane == "none" else expert.load(resources[name])
        for name, expert in selection.experts.items()
    }
    service = selection.shot_service
    if service is None:
        return Models(by_expert, resources=resources)
    shot_resources = resources[service.name]
    return Models(by_expert, service.predictor(shot_resources), resources, shot_resources)
