"""Convolution through time (CTT), which three models of Wehrmann and Barros 2017 share.

"Movie genre classification: A multi-label approach based on convolutions through time", Applied Soft
Computing 61. Each of n filters spans f steps of a sequence of l vectors and all of their m values, which
makes n x 1 x (l - f + 1) values; of each filter the largest one over time is kept. A head makes genres of
these n values. docs/results.md says what the paper leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.layers.basic import check_dropout, without_padding
from train.layers.gating import RowNorm, spread


@dataclass(frozen=True)
class CttOptions:
    """The size of the module and of its head.

    Attributes:
        filters: n.
        span: f, the steps under a filter.
        batch_norm: of each filter's values, before the largest is taken.
        head: A, one linear layer; B, two layers; C, a Maxout layer and a linear one.
        dense: of C: another layer of ``hidden``, with ReLU, before Maxout.
        hidden: width of all layers of B and C but the last one.
        pieces: linear functions of which a Maxout unit takes the largest; two in section 3.2.
        dropout: before each layer of the head.
    """

    filters: int = 256
    span: int = 3
    batch_norm: bool = False
    head: Literal["A", "B", "C"] = "C"
    dense: bool = False
    hidden: int = 256
    pieces: int = 2
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ("filters", "span", "hidden", "pieces"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 is needed")
        check_dropout(self.dropout)


class ConvolutionThroughTime(nn.Module):
    """The filters and the largest value of each; steps that are fewer than the span are followed by zeros."""

    def __init__(self, dim: int, options: CttOptions) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(dim, options.filters, options.span)
        self.span = options.span
        self.norm = RowNorm(options.filters) if options.batch_norm else None

    def maps(self, features: Tensor) -> Tensor:
        """(batch, time, dim) to (batch, filters, time - span + 1)."""
        maps: Tensor = self.convolution(features.transpose(1, 2))
        return maps

    def forward(self, features: Tensor, padding: Tensor) -> Tensor:
        """(batch, time, dim) and (batch, time) to (batch, filters)."""
        steps = (~padding).sum(dim=1)
        clean = without_padding(features, padding)
        if clean.shape[1] < self.span:
            clean = functional.pad(clean, (0, 0, 0, self.span - clean.shape[1]))
        maps = self.maps(clean)
        places = torch.arange(maps.shape[2], device=maps.device)
        beyond = places >= (steps - self.span + 1).clamp(min=1).unsqueeze(1)
        if self.norm is not None:
            maps = spread(self.norm(maps.transpose(1, 2)[~beyond]), ~beyond).transpose(1, 2)
        return maps.masked_fill(beyond.unsqueeze(1), -torch.inf).amax(dim=2).relu()


class Maxout(nn.Module):
    """Goodfellow et al. 2013: each unit is the largest of some linear functions."""

    def __init__(self, width: int, units: int, pieces: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, units * pieces)
        self.shape = (units, pieces)

    def forward(self, vectors: Tensor) -> Tensor:
        """(..., width) to (..., units)."""
        values: Tensor = self.linear(vectors).reshape(*vectors.shape[:-1], *self.shape)
        return values.amax(dim=-1)


def make_head(options: CttOptions, genres: int) -> nn.Sequential:
    """Vectors (..., filters) to logits (..., genres)."""
    layers: list[nn.Module] = [nn.Dropout(options.dropout)]
    width = options.filters
    if options.head == "B" or (options.head == "C" and options.dense):
        layers += [nn.Linear(width, options.hidden), nn.ReLU(), nn.Dropout(options.dropout)]
        width = options.hidden
    if options.head == "C":
        layers += [Maxout(width, options.hidden, options.pieces), nn.Dropout(options.dropout)]
        width = options.hidden
    return nn.Sequential(*layers, nn.Linear(width, genres))


def averaged(logits: Tensor, weights: Tensor) -> Tensor:
    """The logits of a weighted mean of probabilities.

    ``logits`` (..., parts, genres) and ``weights`` (..., parts), which sum to 1, to (..., genres). What
    weighs nothing counts nothing.
    """
    share = weights.log().unsqueeze(-1)
    of_yes = torch.logsumexp(share + functional.logsigmoid(logits.float()), dim=-2)
    of_no = torch.logsumexp(share + functional.logsigmoid(-logits.float()), dim=-2)
    return of_yes - of_no
