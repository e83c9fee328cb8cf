"""Means over time, concatenated, through hidden layers (Sulun et al. 2024, "MLP", section 3.2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from train.layers.basic import check_dropout, hidden_layers, mean_over_time
from train.loading.batch import Batch
from train.model import GenreModel


@dataclass(frozen=True)
class MlpOptions:
    """``layers`` hidden layers of ``width`` (0: the genres see the means), ``dropout`` before each layer."""

    width: int = 256
    layers: int = 1
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 0:
            raise ValueError(
                f"width is {self.width}, layers is {self.layers}; at least 1 and at least 0 are needed"
            )
        check_dropout(self.dropout)


class Mlp(GenreModel):
    """What is in the order of the steps is lost; what is in the pairing of experts is not.

    The mean of an absent expert is zero, which after normalisation is the mean of all videos.
    """

    summary = "the experts' means over time, concatenated, hidden layers"
    Options = MlpOptions
    uses_order = False

    def __init__(self, inputs: Mapping[str, int], genres: int, options: MlpOptions) -> None:
        super().__init__(inputs, genres, options)
        sizes = [sum(inputs.values()), *[options.width] * options.layers]
        self.hidden = hidden_layers(sizes, options.dropout)
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(sizes[-1], genres))

    def embed(self, batch: Batch) -> Tensor:
        means = [mean_over_time(batch.features[expert], batch.padding[expert]) for expert in self.inputs]
        embedded: Tensor = self.hidden(torch.cat(means, dim=1))
        return embedded

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits
