"""What a training is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from extract.options import Checked
from pipeline.storage.location import Location, location
from train.settings import Choices, Hardware


@dataclass(frozen=True)
class FitConfig(Checked):
    """What to train on what. Raises UsageError for values of another kind.

    Attributes:
        features: the store.
        labels: a CSV, Parquet or JSON table.
        run: the run's folder, new, or existing to resume.
        choices: of model, experts and options, by :func:`train.settings.choose`.
        videos_of: tables of the store; the videos that have something in one of them are trained on, even
            if the model's own experts, which are among these, found nothing in some. Default: the model's
            experts. Runs that are compared split the same videos.
        wandb: a project of Weights & Biases to log to as well.
    """

    features: Location
    labels: Path
    run: Path
    choices: Choices
    hardware: Hardware = field(default_factory=Hardware)
    allow_random_weights: bool = False
    videos_of: tuple[str, ...] = ()
    wandb: str | None = None

    elsewhere = ("features",)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "features", location(self.features, "features"))
