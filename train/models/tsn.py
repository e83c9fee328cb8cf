"""Temporal segment network (Wang et al. 2016) on features of frames.

A snippet of each segment gets a score for each genre from one linear layer, and the segments agree on the
average of their scores (section 3.1, "segmental consensus").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from train.layers.basic import check_dropout
from train.layers.segments import Snippets
from train.loading.batch import Batch
from train.model import GenreModel


@dataclass(frozen=True)
class TsnOptions:
    """``segments`` of a video; ``dropout`` before the layer."""

    segments: int = 3
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if self.segments < 1:
            raise ValueError(f"segments is {self.segments}; at least 1 is needed")
        check_dropout(self.dropout)


class Tsn(GenreModel):
    """While training it sees one step of each segment, otherwise all."""

    summary = "a linear layer on a snippet of each segment, the segments' scores averaged"
    Options = TsnOptions
    uses_order = False

    def __init__(self, inputs: Mapping[str, int], genres: int, options: TsnOptions) -> None:
        super().__init__(inputs, genres, options)
        self.snippets = Snippets(inputs, options.segments)
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(self.snippets.width, genres))

    def embed(self, batch: Batch) -> Tensor:
        mean: Tensor = self.snippets(batch).mean(dim=1)
        return mean

    def forward(self, batch: Batch) -> Tensor:
        consensus: Tensor = self.head(self.snippets(batch)).mean(dim=1)
        return consensus
