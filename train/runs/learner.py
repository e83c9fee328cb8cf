"""The base of what the training loop trains: a loss, its optimiser, and steps that can be repeated exactly.

:mod:`train.runs.genre_learner` is the one for genres, :mod:`train.finetuning.fine_learner` that of the
fine-grained stage; both are torch modules around a :class:`train.model.GenreModel`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from train.loading.batch import Batch
from train.settings import Training


class Learner(nn.Module, ABC):
    """The base of what :func:`train.runs.loop.train` trains.

    ``monitor`` is the figure that makes an epoch the best one, and whether the largest (``max``) or the
    smallest (``min``) counts; None: the last epoch is kept.
    """

    def __init__(self, training: Training) -> None:
        super().__init__()
        self.training_options = training

    @property
    @abstractmethod
    def monitor(self) -> tuple[str, str] | None: ...

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """The loss of a training step, a scalar."""

    @abstractmethod
    def validate(self, batch: Batch, index: int) -> None:
        """Take in a batch of the validation, the ``index``-th, in evaluation mode and without gradients."""

    @abstractmethod
    def figures(self, epoch: int) -> dict[str, float]:
        """What the batches since the last call come to, by name, after an epoch; they count from 0."""

    @abstractmethod
    def summary(self, figures: Mapping[str, float]) -> str:
        """What the screen says of a validation."""

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.training_options.learning_rate

    def memory(self) -> dict[str, Any]:
        """What a checkpoint has to hold beside the weights."""
        return {}

    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take what :meth:`memory` gave."""

    def optimizer(self) -> torch.optim.Optimizer:
        options = self.training_options
        kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
        return kind(
            [parameter for parameter in self.parameters() if parameter.requires_grad],
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            amsgrad=options.optimizer == "amsgrad",
        )

    def begin_step(self, step: int, rank: int) -> None:
        """What a step draws depends on its number and the process alone, so a resumed run draws the same."""
        state = np.random.SeedSequence([self.training_options.seed, step, rank])
        torch.manual_seed(int(state.generate_state(1, np.uint64)[0]))
