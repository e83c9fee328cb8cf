"""Clips of a few frames, what is predicted for each averaged: MovieNet's own (Huang et al. 2020).

A trailer is 8 clips of 3 frames. Here a clip is 3 neighbouring segments of the 24 that the trailer is divided
into; the vectors of its snippets, side by side, go through a hidden layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from train.layers.basic import check_dropout
from train.layers.segments import Snippets
from train.loading.batch import Batch
from train.model import GenreModel


@dataclass(frozen=True)
class MovienetOptions:
    """``clips`` of ``frames`` each; ``width`` of the hidden layer; ``dropout`` before each layer."""

    clips: int = 8
    frames: int = 3
    width: int = 256
    dropout: float = 0.5

    def __post_init__(self) -> None:
        for name in ("clips", "frames", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 is needed")
        check_dropout(self.dropout)


class Movienet(GenreModel):
    """While training it sees one step for each frame, otherwise all."""

    summary = "8 clips of 3 frames, a hidden layer on each, the clips' predictions averaged"
    Options = MovienetOptions

    def __init__(self, inputs: Mapping[str, int], genres: int, options: MovienetOptions) -> None:
        super().__init__(inputs, genres, options)
        self.snippets = Snippets(inputs, options.clips * options.frames)
        self.hidden = nn.Sequential(
            nn.Dropout(options.dropout),
            nn.Linear(options.frames * self.snippets.width, options.width),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(options.width, genres))

    def clips(self, batch: Batch) -> Tensor:
        """(batch, clips, width)."""
        clips = self.snippets(batch).unflatten(1, (self.options.clips, -1)).flatten(start_dim=2)
        hidden: Tensor = self.hidden(clips)
        return hidden

    def embed(self, batch: Batch) -> Tensor:
        return self.clips(batch).mean(dim=1)

    def forward(self, batch: Batch) -> Tensor:
        return average_prediction(self.head(self.clips(batch)))


def average_prediction(logits: Tensor) -> Tensor:
    """(batch, clips, genres) to the logits of the mean of their probabilities, (batch, genres).

    With m the mean of sigmoid(z), log(m / (1 - m)) is the difference of two logarithms of sums, which
    stay finite where m rounds to 0 or 1.
    """
    positive = functional.logsigmoid(logits).logsumexp(dim=1)
    return positive - functional.logsigmoid(-logits).logsumexp(dim=1)
