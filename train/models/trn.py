"""Multi-scale temporal relation network (Zhou et al. 2018) on features of frames.

Of N snippets in the order of time, a relation of d of them is g(f_i, f_j, ...) for i < j < ...; the scale's
score is h of the relations together, and the scores of the scales 2 to N are added (equations 1 to 3). The
paper sums over relations and draws some of them; here they are averaged, so that the few of a training step
and all of them, which are taken otherwise, are of one size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.layers.basic import check_dropout
from train.layers.segments import Snippets
from train.loading.batch import Batch
from train.model import GenreModel

MOST_SEGMENTS = 12  # 4,083 relations


@dataclass(frozen=True)
class TrnOptions:
    """Sizes.

    Attributes:
        segments: N, the snippets of a video.
        width: of a snippet before it is related, and of both layers of g.
        relations: of each scale, drawn in a training step.
        dropout: before the snippets are projected.
    """

    segments: int = 8
    width: int = 256
    relations: int = 3
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if not 2 <= self.segments <= MOST_SEGMENTS:
            raise ValueError(f"segments is {self.segments}; 2 to {MOST_SEGMENTS} are allowed")
        if self.width < 1 or self.relations < 1:
            raise ValueError(
                f"width is {self.width}, relations is {self.relations}; at least 1 of each is needed"
            )
        check_dropout(self.dropout)


class Relation(nn.Module):
    """g of one scale, averaged over its relations."""

    tuples: Tensor

    def __init__(self, segments: int, scale: int, width: int, drawn: int) -> None:
        super().__init__()
        tuples = torch.tensor(list(combinations(range(segments), scale)))
        self.register_buffer("tuples", tuples, persistent=False)
        self.drawn = min(drawn, len(tuples))
        # The first layer on d snippets side by side: for each of them, one after the other, its part of it.
        self.places = nn.Linear(width, scale * width, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))
        self.second = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU())

    def forward(self, snippets: Tensor) -> Tensor:
        """(batch, segments, width) to (batch, width)."""
        tuples = self.tuples
        if self.training:
            tuples = tuples[torch.randperm(len(tuples), device=tuples.device)[: self.drawn]]
        related: Tensor = self.second(self._first(snippets, tuples) + self.bias).mean(dim=1)
        return related

    def _first(self, snippets: Tensor, tuples: Tensor) -> Tensor:
        """The first layer without its bias: (batch, segments, width) to (batch, tuples, width).

        It is a sum over places. Where many tuples share the snippets, each snippet goes through it once for
        every place; where they are few, only those that they name do.
        """
        scale, width = tuples.shape[1], snippets.shape[2]
        if len(tuples) > snippets.shape[1]:
            placed: Tensor = self.places(snippets).unflatten(2, (scale, -1))
            return placed[:, tuples, torch.arange(scale, device=tuples.device)].sum(dim=2)
        weight = self.places.weight.view(scale, width, width).transpose(0, 1).flatten(1)
        return functional.linear(snippets[:, tuples].flatten(2), weight)


class Trn(GenreModel):
    """While training it sees one step of each segment and some relations, otherwise all of both."""

    summary = "relations of 2, 3, ... snippets in the order of time, their scores added"
    Options = TrnOptions

    def __init__(self, inputs: Mapping[str, int], genres: int, options: TrnOptions) -> None:
        super().__init__(inputs, genres, options)
        self.snippets = Snippets(inputs, options.segments)
        self.project = nn.Sequential(
            nn.Dropout(options.dropout), nn.Linear(self.snippets.width, options.width), nn.ReLU()
        )
        scales = range(2, options.segments + 1)
        self.relations = nn.ModuleList(
            Relation(options.segments, scale, options.width, options.relations) for scale in scales
        )
        # One linear layer on all scales side by side is the sum of one on each.
        self.head = nn.Linear(len(scales) * options.width, genres)

    def embed(self, batch: Batch) -> Tensor:
        snippets = self.project(self.snippets(batch))
        return torch.cat([relation(snippets) for relation in self.relations], dim=1)

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits
