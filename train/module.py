"""The loss, the optimiser and the validation of any model, as Lightning wants them.

The loss is the binary cross-entropy of each genre's logit, averaged over genres and videos. A *positive
weight* w multiplies the term of a genre that the video has:

    loss(z, y) = -(w y log sigmoid(z) + (1 - y) log(1 - sigmoid(z)))

Sulun et al. 2024 give w = 0.25; their public code has one number for all genres and hands it to PyTorch's
``BCEWithLogitsLoss(pos_weight=...)``, which is this formula. Below 1 it favours precision over recall.
"""

from __future__ import annotations

import numpy as np
import torch
from lightning.pytorch import LightningModule
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torchmetrics.classification import MultilabelAveragePrecision

from train.batch import Batch
from train.model import Model
from train.settings import Training

MAP = "validation/map"  # macro-averaged average precision
LOSS = "validation/loss"


def positive_weights(labels: NDArray[np.bool_], training: Training) -> Tensor:
    """The weight w of each genre, (genres,), from the training split's ``labels`` (videos, genres)."""
    weights = np.full(labels.shape[1], training.positive_weight)
    if training.balance:
        positives = labels.sum(axis=0)
        weights *= (len(labels) - positives) / np.maximum(positives, 1)
    return torch.from_numpy(weights.astype(np.float32))


class GenreModule(LightningModule):
    """A model in training. ``weights``: each genre's positive weight, (genres,)."""

    weights: Tensor

    def __init__(self, model: Model, training: Training, weights: Tensor) -> None:
        super().__init__()
        self.model = model
        self.training_options = training
        self.register_buffer("weights", weights, persistent=False)
        # Every process sees the whole validation split: nothing to gather.
        self.average_precision = MultilabelAveragePrecision(model.genres, sync_on_compute=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        options = self.training_options
        kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
        return kind(
            self.model.parameters(),
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

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self._loss(self.model(batch), batch)
        self.log("training/loss", loss, batch_size=len(batch))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        assert batch.labels is not None
        logits = self.model(batch)
        self.log(LOSS, self._loss(logits, batch), batch_size=len(batch))
        self.average_precision.update(logits.float().sigmoid(), batch.labels.int())

    def on_validation_epoch_end(self) -> None:
        self.log(MAP, self.average_precision.compute())
        self.average_precision.reset()

    def _loss(self, logits: Tensor, batch: Batch) -> Tensor:
        assert batch.labels is not None
        return functional.binary_cross_entropy_with_logits(
            logits.float(), batch.labels, pos_weight=self.weights
        )
