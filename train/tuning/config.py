"""What a search is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from extract.errors import unknown
from extract.options import Checked, Positive, Seed
from extract.presets import merged
from pipeline.storage.location import Location, location
from train.evaluation.metrics import Measures, unit_weights
from train.runs.config import FitConfig
from train.runs.typed_options import typed_options
from train.runs.workers import Cluster
from train.settings import Hardware, check_one_place, choose, parse_assignments
from train.tuning.space import Space, parse_space, points


@dataclass(frozen=True)
class SearchConfig(Checked):
    """What to try, on what. Raises UsageError for values of another kind.

    Attributes:
        out: folder of the search, new, or existing to resume.
        features, labels: as of a training.
        space: what is tried, ``SECTION.OPTION=VALUES`` each (:mod:`train.tuning.space`).
        preset, model, experts, options: of all trainings, as of one.
        sampler: ``tpe`` goes where good values are (Bergstra et al. 2011), ``random`` draws, ``grid`` goes
            through all combinations of lists.
        trials: how many trainings, at most; None: 20, of a grid all.
        figure: of ours (docs/metrics.md), of the validation split, that is to be high.
        seed: of the sampler; that of the trainings is ``training.seed``.
        at_once: trainings of a round, which are drawn together; None: as many as there are workers.
        cluster: where the trainings of a round go side by side.
    """

    out: Path
    features: Location
    labels: Path
    space: tuple[str, ...]
    preset: str | None = None
    model: str | None = None
    experts: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    trials: Positive | None = None
    figure: str = "ap_macro"
    seed: Seed = 0
    at_once: Positive | None = None
    hardware: Hardware = field(default_factory=Hardware)
    cluster: Cluster = field(default_factory=Cluster)
    allow_random_weights: bool = False

    elsewhere = ("features",)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "features", location(self.features, "features"))
        if self.sampler == "grid":
            points(self.tried)
        figures, _ = Measures([[1, 0]], [[0.5, 0.5]]).figures(unit_weights(1))
        if self.figure not in figures:
            raise unknown("no figure", self.figure, figures)
        check_one_place(self.hardware.device, self.cluster.gpus)

    @property
    def tried(self) -> Space:
        return parse_space(self.space)

    @property
    def most(self) -> int:
        """How many trainings there are in the end."""
        if self.sampler != "grid":
            return self.trials or 20
        return min(self.trials or len(points(self.tried)), len(points(self.tried)))

    def training(self, run: Path, values: Mapping[str, Any]) -> FitConfig:
        """That of some values. Raises UsageError for values that an option does not take."""
        tried = parse_assignments([f"{name}={value}" for name, value in values.items()])
        choices = choose(
            preset=self.preset,
            model=self.model,
            experts=self.experts,
            options=merged([self.options, tried]),
        )
        return FitConfig(
            self.features,
            self.labels,
            run,
            choices,
            self.hardware,
            allow_random_weights=self.allow_random_weights,
        )

    @property
    def _model(self) -> str:
        return choose(preset=self.preset, model=self.model).model

    @property
    def record(self) -> dict[str, Any]:
        """What has to be the same when a search is resumed."""
        return {
            "features": str(self.features),
            "labels": str(self.labels),
            "space": list(self.space),
            "preset": self.preset,
            "model": self.model,
            "experts": list(self.experts),
            "options": typed_options(self.options, [self._model]),
            "sampler": self.sampler,
            "figure": self.figure,
            "seed": self.seed,
        }
