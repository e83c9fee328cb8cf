"""Features averaged over time, concatenated, through hidden layers (Sulun et al. 2024, "MLP")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from train.layers.basic import AveragedEncoder, check_dropout
from train.loading.batch import Batch
from train.model import GenreModel


@dataclass(frozen=True)
class MlpOptions:
    """``width`` of the vector of each expert and of the hidden ``layers``; ``dropout`` before each layer."""

    width: int = 256
    layers: int = 1
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 1:
            raise ValueError(f"width is {self.width}, layers is {self.layers}; at least 1 of each is needed")
        check_dropout(self.dropout)


class Mlp(GenreModel):
    """What is in the order of the steps is lost; what is in the pairing of experts is not."""

    summary = "each expert averaged over time, concatenated, hidden layers"
    Options = MlpOptions
    uses_order = False

    def __init__(self, inputs: Mapping[str, int], genres: int, options: MlpOptions) -> None:
        super().__init__(inputs, genres, options)
        width = options.width
        self.encoders = nn.ModuleList(AveragedEncoder(dim, width) for dim in inputs.values())
        sizes = [width * len(inputs), *[width] * options.layers]
        hidden: list[nn.Module] = [nn.GELU()]
        for before, after in pairwise(sizes):
            hidden += [nn.Dropout(options.dropout), nn.Linear(before, after), nn.GELU()]
        self.hidden = nn.Sequential(*hidden)
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(width, genres))

    def embed(self, batch: Batch) -> Tensor:
        vectors = [
            encoder(batch.features[expert], batch.padding[expert])
            for expert, encoder in zip(self.inputs, self.encoders, strict=True)
        ]
        embedded: Tensor = self.hidden(torch.cat(vectors, dim=1))
        return embedded

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits
