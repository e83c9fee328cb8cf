"""The models of a selection, loaded once for all videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.expert import Model, PassThrough, Resources
from extract.selection import Selection

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Models:
    """A model for each expert, and the shot network if the detector has one.

    ``resources`` is what they were loaded with, by expert (the shot network's under ``scenes``):
    lowering the batch size there lowers what the model puts on the device from its next batch on.
    """

    by_expert: Mapping[str, Model]
    predict: Predict | None = None
    resources: Mapping[str, Resources] = field(default_factory=dict)


def load_models(selection: Selection, *, batch_size: int) -> Models:
    """Raises WeightsError or MissingDependency where a model cannot be loaded."""
    by_expert: dict[str, Model] = {}
    all_resources: dict[str, Resources] = {}
    predict: Any = None
    for name, expert in selection.experts.items():
        all_resources[name] = resources = Resources(
            device=selection.device,
            precision=selection.precision,
            batch_size=batch_size,
            weights={role: w.path for role, w in selection.weights.get(name, {}).items()},
            random_seed=selection.random_seed,
        )
        if name == "scenes":
            predict = expert.predictor(resources)  # type: ignore[attr-defined]
        by_expert[name] = PassThrough() if expert.lane == "none" else expert.load(resources)
    return Models(by_expert, predict, all_resources)
