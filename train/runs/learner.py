"""The base of what the training loop trains: a loss, its optimiser, and steps that can be repeated exactly.

:mod:`train.runs.genre_learner` is the one for genres, :mod:`train.finetuning.fine_learner` that of the
fine-grained stage; both are Lightning modules around a :class:`train.model.GenreModel`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np
import torch
from lightning.pytorch import LightningModule

from train.loading.batch import Batch
from train.settings import Training


class Learner(LightningModule):
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
    def summary(self, figures: Mapping[str, float]) -> str:
        """What the screen says of a validation."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        options = self.training_options
        kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
        return kind(
            [parameter for parameter in self.parameters() if parameter.requires_grad],
            lr=options.learning_rate,
            weight_decay=options.weight_decay,
            amsgrad=options.optimizer == "amsgrad",
        )

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch.to(device, non_blocking=True)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        # What a step draws depends on its number alone, so a resumed run draws the same.
        state = np.random.SeedSequence([self.training_options.seed, self.global_step, self.global_rank])
        torch.manual_seed(int(state.generate_state(1, np.uint64)[0]))
