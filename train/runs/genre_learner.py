"""A genre model in training: its loss and its validation, as the training loop wants them.

The loss is the model's own (:meth:`train.model.GenreModel.loss`). Unless it says otherwise that is the binary
cross-entropy of each genre's logit, averaged over genres and videos. A *positive weight* w multiplies the
term of a genre that the video has:

    loss(z, y) = -(w y log sigmoid(z) + (1 - y) log(1 - sigmoid(z)))

Sulun et al. 2024 give w = 0.25; their public code has one number for all genres and hands it to PyTorch's
``BCEWithLogitsLoss(pos_weight=...)``, which is this formula. Below 1 it favours precision over recall.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.evaluation import metrics
from train.evaluation.metrics import Measures, unit_weights
from train.loading.batch import Batch
from train.model import GenreModel, genre_loss
from train.runs.learner import Learner
from train.settings import Training

MAP = "validation/map"  # average precision, the mean over the genres that a validation video has
MICRO = "validation/micro"  # average precision of all genres pooled
LOSS = "validation/loss"
MONITORS = {"map": (MAP, "max"), "micro": (MICRO, "max"), "loss": (LOSS, "min")}


def positive_weights(labels: NDArray[np.bool_], training: Training) -> Tensor:
    """The weight w of each genre, (genres,), from the training split's ``labels`` (videos, genres)."""
    weights = np.full(labels.shape[1], training.positive_weight)
    if training.balance:
        positives = labels.sum(axis=0)
        weights *= (len(labels) - positives) / np.maximum(positives, 1)
    return torch.from_numpy(weights.astype(np.float32))


class GenreLearner(Learner):
    """A model in training. ``weights``: each genre's positive weight, (genres,)."""

    weights: Tensor

    def __init__(self, model: GenreModel, training: Training, weights: Tensor) -> None:
        super().__init__(training)
        self.model = model
        self.register_buffer("weights", weights, persistent=False)
        self._validated: list[tuple[Tensor, Tensor, Tensor]] = []  # scores, labels, loss

    @property
    def monitor(self) -> tuple[str, str]:
        return MONITORS[self.training_options.monitor]

    def summary(self, figures: Mapping[str, float]) -> str:
        micro = f", micro {figures[MICRO]:.4f}" if self.training_options.monitor == "micro" else ""
        return f"validation loss {figures[LOSS]:.4f}, validation mAP {figures[MAP]:.4f}{micro}"

    def forward(self, batch: Batch) -> Tensor:
        loss = self.model.loss(batch, self.weights)
        return loss * self.model.genres if self.training_options.sum_genres else loss

    def validate(self, batch: Batch, index: int) -> None:
        assert batch.labels is not None
        logits = self.model(batch)
        loss = genre_loss(logits, batch.labels, self.weights)
        self._validated.append((logits.float().sigmoid(), batch.labels, loss * len(batch)))

    def figures(self, epoch: int) -> dict[str, float]:
        scores, labels, losses = zip(*self._validated, strict=True)
        self._validated = []
        target = torch.cat(labels).cpu().numpy()
        measured = Measures(target, torch.cat(scores).cpu().numpy(), thresholds=())
        overall, _ = measured.figures(unit_weights(len(target)))
        return {
            LOSS: float(torch.stack(losses).double().sum()) / len(target),
            MAP: float(overall[metrics.MAP][0]),
            MICRO: float(overall["ap_micro"][0]),
        }
