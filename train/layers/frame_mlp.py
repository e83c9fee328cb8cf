"""A perceptron on single frames, or windows of sound, which have the genres of their video."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from train.layers.basic import hidden_layers
from train.layers.ctt import averaged
from train.layers.gating import spread
from train.loading.batch import Batch
from train.model import GenreModel, NoOptions, genre_loss


class FrameMlp(GenreModel):
    """The image-MLP and the audio-MLP of Sulun et al. 2024: a step to a vector, in training to the genres.

    Its loss is the mean over all steps of the batch. A video's prediction is the mean of those of its steps;
    one without any has even scores.
    """

    summary = "a perceptron on single steps of one expert"

    def __init__(
        self, inputs: Mapping[str, int], genres: int, *, width: int, layers: int, dropout: float
    ) -> None:
        super().__init__(inputs, genres, NoOptions())
        ((self.expert, dim),) = inputs.items()
        self.hidden = hidden_layers([dim, *[width] * layers], dropout)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, genres))

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(steps, width) of the steps that are there, one video after the other, and (batch, time) where."""
        there = ~batch.padding[self.expert]
        found: Tensor = self.hidden(batch.features[self.expert][there])
        return found, there

    def forward(self, batch: Batch) -> Tensor:
        vectors, there = self.vectors(batch)
        counted = there | ~there.any(dim=1, keepdim=True)  # of none: the zeros that stand in their place
        return averaged(spread(self.head(vectors), there), counted / counted.sum(dim=1, keepdim=True))

    def loss(self, batch: Batch, positive_weights: Tensor) -> Tensor:
        assert batch.labels is not None
        vectors, there = self.vectors(batch)
        logits: Tensor = self.head(vectors)
        if not len(logits):
            return logits.sum()  # 0, and no gradient
        return genre_loss(logits, batch.labels[there.nonzero()[:, 0]], positive_weights)
