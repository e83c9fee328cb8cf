"""What a training is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.storage.location import Location
from train.settings import Choices, Hardware


@dataclass(frozen=True)
class FitConfig:
    """What to train on what.

    Attributes:
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
