"""The fine-grained stage (Fish et al. 2021): a video's halves have to find each other among other videos.

A trailer's sequences are split at random into two halves. Each half is pooled as if it were the trailer, goes
through a projection head, and NT-Xent draws the two together and away from those of other trailers. The
head is left out afterwards; what is kept is the space before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from extract.options import Checked
from train.errors import DataError
from train.finetuning.contrastive import nt_xent, silhouette
from train.layers.sequenced import SequencedModel
from train.loading.batch import Batch
from train.runs.learner import Learner
from train.settings import Training

LOSS = "validation/loss"
SILHOUETTE = "validation/silhouette"


@dataclass(frozen=True)
class FineOptions(Checked):
    """How the stage is trained. docs/results.md says which numbers are the paper's.

    Attributes:
        epochs: so many, the last is kept; in the first ``constant_epochs`` at ``learning_rate``, then it
            falls to zero as half a cosine does.
        temperature: of NT-Xent.
        projection: width of what the losses compare.
        batch_size: videos; of each, all others are what it has to be told from.
        optimizer, clip, checkpoint_steps, seed: as of a training.
    """

    epochs: int = 50
    constant_epochs: int = 10
    learning_rate: float = 1e-4
    temperature: float = 0.5
    projection: int = 128
    batch_size: int = 32
    optimizer: Literal["adam", "amsgrad", "adamw"] = "amsgrad"
    clip: float | None = None
    checkpoint_steps: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.training
        if self.batch_size < 2:
            raise ValueError(
                f"batch_size is {self.batch_size}; at least 2 are needed: videos are contrasted with one "
                "another"
            )
        if self.projection < 1:
            raise ValueError(f"projection is {self.projection}; at least 1 is needed")
        if self.constant_epochs < 0:
            raise ValueError(f"constant_epochs is {self.constant_epochs}; 0 or more is needed")
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}; more than 0 is needed")

    @property
    def training(self) -> Training:
        return Training(
            epochs=self.epochs,
            patience=None,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            clip=self.clip,
            checkpoint_steps=self.checkpoint_steps,
            seed=self.seed,
        )

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        over = epoch - self.constant_epochs
        if over <= 0:
            return self.learning_rate
        return self.learning_rate * (1 + math.cos(math.pi * over / (self.epochs - self.constant_epochs))) / 2


def halves(there: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Each video's sequences in two halves at random, both (batch, sequences) bool, of as many or one less.

    ``there`` (batch, sequences) says which there are. Of a single one, one half is empty.
    """
    drawn = torch.rand(there.shape, generator=generator).to(there.device).masked_fill(~there, torch.inf)
    rank = drawn.argsort(dim=1).argsort(dim=1)
    first = (rank < there.sum(dim=1, keepdim=True) // 2) & there
    return first, there & ~first


class FineLearner(Learner):
    """A model in the fine-grained stage.

    ``genres``: video_id -> (genres,) bool, of the videos to validate with, for the silhouette. ``record`` is
    called with the history after every epoch.

    ``history`` has a row for each epoch: its number, the learning rate, the loss of the validation split and
    the silhouette of the genres in it.
    """

    def __init__(
        self,
        model: SequencedModel,
        options: FineOptions,
        genres: Mapping[str, NDArray[np.bool_]],
        record: Callable[[Sequence[Mapping[str, Any]]], None],
    ) -> None:
        super().__init__(options.training)
        self.model, self.options, self.genres, self.record = model, options, genres, record
        model.head.requires_grad_(requires_grad=False)
        self.m = nn.Linear(model.bottleneck, model.bottleneck)
        self.n = nn.Linear(model.bottleneck, options.projection)
        self.history: list[dict[str, Any]] = []
        self._validated: list[tuple[tuple[str, ...], Tensor, Tensor]] = []  # ids, vectors, loss
        self._pairs = 0

    def start(self, reached: float) -> None:
        """The silhouette before the first epoch."""
        self.history = [{"epoch": 0, "learning_rate": None, "validation_loss": None, "silhouette": reached}]

    @property
    def monitor(self) -> None:
        return None

    def summary(self, figures: Mapping[str, float]) -> str:
        return f"validation loss {figures[LOSS]:.4f}, silhouette of the genres {figures[SILHOUETTE]:.4f}"

    def rate(self, epoch: int) -> float:
        return self.options.rate(epoch)

    def forward(self, batch: Batch) -> Tensor:
        sequences, there = self.model.sequences(batch)
        return self._loss(sequences, *halves(there))

    def validate(self, batch: Batch, index: int) -> None:
        sequences, there = self.model.sequences(batch)
        generator = torch.Generator().manual_seed(self.options.seed + index)  # the same in every epoch
        loss = self._loss(sequences, *halves(there, generator))
        self._validated.append((batch.ids, self.model.pool(sequences).float().cpu(), loss.cpu()))

    def figures(self, epoch: int) -> dict[str, float]:
        if not self._pairs:
            raise DataError(
                "no video has two sequences to split into halves: fine-tune a model with fewer model.clips "
                "in a sequence, or on longer videos"
            )
        ids = [name for names, _, _ in self._validated for name in names]
        loss = sum(len(names) * float(loss) for names, _, loss in self._validated) / len(ids)
        vectors = torch.cat([vectors for _, vectors, _ in self._validated]).numpy()
        row = {
            "epoch": epoch + 1,
            "learning_rate": self.rate(epoch),
            "validation_loss": loss,
            "silhouette": genre_silhouette(ids, vectors, self.genres),
        }
        self.history.append(row)
        self._validated, self._pairs = [], 0
        self.record(self.history)
        return {LOSS: loss, SILHOUETTE: row["silhouette"]}

    def memory(self) -> dict[str, Any]:
        return {"history": self.history}

    def remember(self, memory: Mapping[str, Any]) -> None:
        self.history = list(memory["history"])

    def _loss(self, sequences: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """NT-Xent over the videos of the batch that have two halves; of fewer than two videos, 0."""
        whole = first.any(dim=1) & second.any(dim=1)
        self._pairs += int(whole.sum())
        views = [self._project(sequences[whole], half[whole]) for half in (first, second)]
        if len(views[0]) < 2:
            return 0 * (views[0].sum() + views[1].sum())
        return nt_xent(views[0], views[1], temperature=self.options.temperature)

    def _project(self, sequences: Tensor, half: Tensor) -> Tensor:
        pooled = self.model.pool(sequences * half.unsqueeze(2))
        projected: Tensor = self.n(functional.relu(self.m(pooled)))
        return projected


def genre_silhouette(
    ids: list[str], vectors: NDArray[np.float32], genres: Mapping[str, NDArray[np.bool_]]
) -> float:
    """The silhouette of the genres among unit vectors, whose Euclidean distance orders as the cosine does."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return silhouette(unit, np.array([genres[name] for name in ids]))
