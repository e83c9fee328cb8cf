"""Layers that several models share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.layers.cls_transformer import ClsTransformer


def without_padding(features: Tensor, padding: Tensor) -> Tensor:
    """(batch, time, dim) with exact zeros where ``padding`` (batch, time) is True, whatever stood there."""
    return features.masked_fill(padding.unsqueeze(-1), 0.0)


def weighted_sums(features: Tensor, weights: Tensor) -> Tensor:
    """``weights`` (batch, groups, time) of steps (batch, time, dim): (batch, groups, dim); of none, zero.

    Steps without weight are not read, so it does not matter what stands there, and nothing is copied.
    """
    videos, groups, steps = weights.nonzero(as_tuple=True)
    counts = weights.count_nonzero(dim=2).flatten()
    sums: Tensor = functional.embedding_bag(
        videos * features.shape[1] + steps,
        features.flatten(0, 1),
        counts.cumsum(0) - counts,
        mode="sum",
        per_sample_weights=weights[videos, groups, steps].to(features.dtype),
    )
    return sums.view(*weights.shape[:2], -1)


def mean_over_time(features: Tensor, padding: Tensor) -> Tensor:
    """The mean of the steps that are not padding: (batch, time, dim) to (batch, dim); of none, zero."""
    there = ~padding
    shares = there / there.sum(dim=1, keepdim=True).clamp(min=1)
    return weighted_sums(features, shares.unsqueeze(1)).squeeze(1)


@dataclass(frozen=True)
class TransformerOptions:
    """The size of an encoder of Vaswani et al. 2017.

    Attributes:
        width: of the tokens.
        layers, heads: of the encoder.
        feedforward: width of the layer inside each block.
        dropout: on tokens and inside the blocks.
        norm: layer normalisation after each block's sum (``post``, the original) or before its input.
        positions: a learned table, or the sines and cosines of the original.
        activation: inside the blocks.
        final_norm: a layer normalisation after the last block; with ``norm`` ``pre`` there always is one.
        longest: rows of the learned table, see :class:`StepTokens`.
    """

    width: int = 256
    layers: int = 2
    heads: int = 4
    feedforward: int = 1024
    dropout: float = 0.1
    norm: Literal["post", "pre"] = "pre"
    positions: Literal["learned", "sinusoidal"] = "learned"
    activation: Literal["gelu", "relu"] = "gelu"
    final_norm: bool = False
    longest: int = 512

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "feedforward", "longest"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 is needed")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.positions == "sinusoidal" and self.width % 2:
            raise ValueError(f"width {self.width} is odd; sinusoidal positions need an even one")
        check_dropout(self.dropout)


def check_dropout(dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}; a share from 0 to below 1 is needed")


def hidden_layers(widths: Sequence[int], dropout: float) -> nn.Sequential:
    """Of a perceptron, from ``widths[0]`` through all others: each with dropout before and ReLU after it."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Dropout(dropout), nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers)


def transformer(options: TransformerOptions) -> ClsTransformer:
    """An encoder of which the first token is read."""
    block = nn.TransformerEncoderLayer(
        options.width,
        options.heads,
        options.feedforward,
        options.dropout,
        activation=options.activation,
        batch_first=True,
        norm_first=options.norm == "pre",
    )
    return ClsTransformer(block, options.layers, final_norm=options.final_norm)


def token(width: int) -> nn.Parameter:
    """A learned vector that stands among the steps, (width,)."""
    return nn.Parameter(0.02 * torch.randn(width))


class StepTokens(nn.Module):
    """The steps of one expert as tokens: projected, with the embedding of their place added.

    Of a table of learned positions only those rows have learned anything that training has reached. A longer
    video is read whole: its places are spread evenly over these rows, between which the embeddings are
    interpolated linearly (as Dosovitskiy et al. 2021 do for larger pictures).
    """

    reached: Tensor  # rows of the table that training has reached

    def __init__(self, dim: int, options: TransformerOptions) -> None:
        super().__init__()
        self.project = nn.Linear(dim, options.width)
        self.dropout = nn.Dropout(options.dropout)
        self.width = options.width
        self.table = None
        if options.positions == "learned":
            self.table = nn.Parameter(0.02 * torch.randn(options.longest, options.width))
            self.register_buffer("reached", torch.tensor(0))

    def forward(self, features: Tensor, padding: Tensor) -> Tensor:
        """(batch, time, dim) to (batch, time, width); of padding, which is not read, zeros."""
        videos, steps = padding.shape
        there = (~padding).flatten().nonzero().squeeze(1)
        rows: Tensor = self.project(features.flatten(0, 1).index_select(0, there))
        rows = self.dropout(rows + self._positions(there % steps, (~padding).sum(dim=1)[there // steps]))
        return rows.new_zeros(videos * steps, self.width).index_copy(0, there, rows).view(videos, steps, -1)

    def _positions(self, places: Tensor, steps: Tensor) -> Tensor:
        """(places,) and how many steps the video of each has, (places,), to (places, width)."""
        if self.table is None:
            return sinusoids(places, self.width)
        last = len(self.table) - 1
        if self.training:
            if len(places):
                self.reached.copy_(torch.maximum(self.reached, places.max() + 1).clamp(max=last + 1))
            end = torch.full_like(self.reached, last)
        else:
            end = torch.where(self.reached > 0, self.reached - 1, last)
        spread = places * (end / (steps - 1).clamp(min=1)).clamp(max=1)
        before = spread.floor().long().clamp(max=last)
        share = (spread - before).unsqueeze(-1)
        after = (before + 1).clamp(max=last)
        return self.table[before] * (1 - share) + self.table[after] * share


def sinusoids(places: Tensor, width: int) -> Tensor:
    """Vaswani et al. 2017, section 3.5: (places,) to (places, width), sines before cosines."""
    rates = torch.exp(-math.log(10_000.0) * torch.arange(0, width, 2, device=places.device) / width)
    angles = places.unsqueeze(-1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class SequenceEncoder(nn.Module):
    """One expert's steps to one vector: a transformer over <CLS> and the steps; the vector is <CLS>'s."""

    def __init__(self, dim: int, options: TransformerOptions) -> None:
        super().__init__()
        self.steps = StepTokens(dim, options)
        self.cls = token(options.width)
        self.transformer = transformer(options)

    def forward(self, features: Tensor, padding: Tensor) -> Tensor:
        """(batch, time, dim) and (batch, time) to (batch, width)."""
        steps = self.steps(features, padding)
        tokens = torch.cat([self.cls.expand(len(steps), 1, -1), steps], dim=1)
        hidden = torch.cat([padding.new_zeros(len(steps), 1), padding], dim=1)
        encoded: Tensor = self.transformer(tokens, hidden)
        return encoded


class AveragedEncoder(nn.Module):
    """One expert's mean over time to one vector; a learned one stands for an absent expert."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(dim, width)
        self.absent = token(width)

    def forward(self, features: Tensor, padding: Tensor) -> Tensor:
        """(batch, time, dim) and (batch, time) to (batch, width)."""
        vector: Tensor = self.project(mean_over_time(features, padding))
        return torch.where(padding.all(dim=1, keepdim=True), self.absent, vector)
