"""The classifiers that Sulun et al. published with their code; ``import sulun-classifier`` loads them.

Modules have the names of the published state dicts. A feature is fitted to its length before all else: of a
longer one equidistant steps, a shorter or absent one is filled with zeros, which the network sees as steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from train.layers.basic import token, without_padding
from train.layers.cls_transformer import ClsTransformer
from train.loading.batch import Batch
from train.model import GenreModel

DEFAULT_LENGTH = 160  # of their CLIP features


@dataclass(frozen=True)
class PublishedOptions:
    """What the published ``_config.pt`` says of a network.

    Attributes:
        kind: their ``model``.
        lengths: steps of each expert, in the experts' order; empty: 160 each. In ``multi_transformer`` an
            expert of one step has no transformer.
        width: their ``d_model``; -1: steps are not projected (``multi_transformer``).
        layers, heads: their ``n_layers``, which counts the last layer of an ``mlp``, and ``n_heads``.
        fixed_positions: sines and cosines instead of learned positions.
    """

    kind: Literal["mlp", "single_transformer", "multi_transformer"] = "multi_transformer"
    lengths: tuple[int, ...] = ()
    width: int = 1280
    layers: int = 1
    heads: int = 8
    fixed_positions: bool = False

    def __post_init__(self) -> None:
        if min((self.layers, self.heads, *self.lengths)) < 1:
            raise ValueError("layers, heads and lengths are at least 1")
        if self.width < 1 and (self.width, self.kind) != (-1, "multi_transformer"):
            raise ValueError(f"width is {self.width}; at least 1 is needed, or -1 in multi_transformer")
        if self.width % self.heads and self.width != -1:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")


class SulunPublished(GenreModel):
    """Unlike the others it sees what stands for absent steps: zeros."""

    summary = "the published classifiers of Sulun et al., for their weights"
    Options = PublishedOptions

    def __init__(self, inputs: Mapping[str, int], genres: int, options: PublishedOptions) -> None:
        super().__init__(inputs, genres, options)
        lengths = options.lengths or (DEFAULT_LENGTH,) * len(inputs)
        self.lengths = dict(zip(inputs, lengths, strict=True))
        networks = {"mlp": _Mlp, "single_transformer": _Single, "multi_transformer": _Multi}
        self.network: Any = networks[options.kind](self.inputs, self.lengths, genres, options)

    def embed(self, batch: Batch) -> Tensor:
        vector: Tensor = self.network.embed(self._fitted(batch))
        return vector

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.network.decode(self.embed(batch))
        return logits

    def _fitted(self, batch: Batch) -> dict[str, Tensor]:
        return {
            name: fitted(batch.features[name], batch.padding[name], length)
            for name, length in self.lengths.items()
        }


def fitted(features: Tensor, padding: Tensor, length: int) -> Tensor:
    """(batch, time, dim) to (batch, length, dim): ``round(linspace(0, n - 1, length))`` of n, or zeros."""
    known = without_padding(features, padding)
    steps = (~padding).sum(dim=1, keepdim=True)
    places = torch.arange(length, device=features.device).expand(len(features), -1)
    even = torch.linspace(0, 1, length, dtype=torch.float64, device=features.device) * (steps - 1)
    chosen = torch.where(steps > length, even.round().long(), places)
    rows = chosen.clamp(max=known.shape[1] - 1, min=0)
    there = (chosen < steps).unsqueeze(-1)
    return known.gather(1, rows.unsqueeze(-1).expand(-1, -1, known.shape[2])) * there


def _body(width: int, options: PublishedOptions) -> ClsTransformer:
    block = nn.TransformerEncoderLayer(width, options.heads, 4 * width, dropout=0.0, batch_first=True)
    return ClsTransformer(block, options.layers, final_norm=True)


class _Positions(nn.Module):
    def __init__(self, longest: int, width: int, fixed: bool) -> None:
        super().__init__()
        table = torch.randn(longest, 1, width)
        if fixed:
            self.register_buffer("pe", table)
        else:
            self.pe = nn.Parameter(table)

    def forward(self, tokens: Tensor) -> Tensor:
        placed: Tensor = tokens + self.pe[: tokens.shape[1], 0]
        return placed


class _Transformer(nn.Module):
    """With positions of its own, or without where they were added before."""

    def __init__(self, width: int, options: PublishedOptions, longest: int | None = None) -> None:
        super().__init__()
        if longest is not None:
            self.pos_encoder = _Positions(longest, width, options.fixed_positions)
        self.transformer_body = _body(width, options)

    def forward(self, tokens: Tensor) -> Tensor:
        placed = self.pos_encoder(tokens) if hasattr(self, "pos_encoder") else tokens
        hidden = torch.zeros(placed.shape[:2], dtype=torch.bool, device=placed.device)
        cls: Tensor = self.transformer_body(placed, hidden)
        return cls


def _vectors(widths: Mapping[str, int]) -> nn.ParameterDict:
    return nn.ParameterDict({name: token(width).view(1, 1, -1) for name, width in widths.items()})


class _Mlp(nn.Module):
    def __init__(
        self, inputs: Mapping[str, int], lengths: Mapping[str, int], genres: int, options: PublishedOptions
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = sum(inputs.values())
        for _ in range(options.layers - 1):
            layers += [nn.Linear(width, options.width), nn.ReLU(), nn.Dropout(0.0)]
            width = options.width
        self.model = nn.Sequential(*layers, nn.Linear(width, genres))

    def embed(self, features: Mapping[str, Tensor]) -> Tensor:
        hidden: Tensor = self.model[:-1](torch.cat([f.mean(dim=1) for f in features.values()], dim=1))
        return hidden

    def decode(self, vector: Tensor) -> Tensor:
        logits: Tensor = self.model[-1](vector)
        return logits


class _Single(nn.Module):
    def __init__(
        self, inputs: Mapping[str, int], lengths: Mapping[str, int], genres: int, options: PublishedOptions
    ) -> None:
        super().__init__()
        width = options.width
        longest = 1 + len(inputs) + sum(lengths.values())
        self.encoders = nn.ModuleDict({name: nn.Linear(dim, width) for name, dim in inputs.items()})
        self.cls_vector = nn.Parameter(token(width).detach().view(1, 1, -1))
        self.sep_vectors = _vectors(dict.fromkeys(inputs, width))
        self.positional_encoding = nn.ModuleDict(
            {name: _Positions(longest, width, options.fixed_positions) for name in inputs}
        )
        self.transformer = _Transformer(width, options)
        self.decoder = nn.Linear(width, genres)

    def embed(self, features: Mapping[str, Tensor]) -> Tensor:
        videos = len(next(iter(features.values())))
        tokens = [self.cls_vector.expand(videos, -1, -1)]
        for name, steps in features.items():
            with_sep = torch.cat(
                [self.sep_vectors[name].expand(videos, -1, -1), self.encoders[name](steps)], dim=1
            )
            tokens.append(self.positional_encoding[name](with_sep))
        cls: Tensor = self.transformer(torch.cat(tokens, dim=1))
        return cls

    def decode(self, vector: Tensor) -> Tensor:
        logits: Tensor = self.decoder(vector)
        return logits


class _Multi(nn.Module):
    def __init__(
        self, inputs: Mapping[str, int], lengths: Mapping[str, int], genres: int, options: PublishedOptions
    ) -> None:
        super().__init__()
        raw = options.width == -1
        widths = {name: dim if raw else options.width for name, dim in inputs.items()}
        long = {name: widths[name] for name, length in lengths.items() if length > 1}
        if not raw:
            self.encoders = nn.ModuleDict(
                {name: nn.Linear(dim, widths[name]) for name, dim in inputs.items()}
            )
        self.raw = raw
        self.transformers = nn.ModuleDict(
            {name: _Transformer(width, options, lengths[name] + 1) for name, width in long.items()}
        )
        self.cls_vectors = _vectors(long)
        self.decoder = nn.Linear(sum(widths.values()), genres)

    def embed(self, features: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([self._vector(name, steps) for name, steps in features.items()], dim=1)

    def _vector(self, name: str, steps: Tensor) -> Tensor:
        tokens: Tensor = steps if self.raw else self.encoders[name](steps)
        if name not in self.transformers:
            return tokens[:, 0]
        cls = self.cls_vectors[name].expand(len(tokens), -1, -1)
        vector: Tensor = self.transformers[name](torch.cat([cls, tokens], dim=1))
        return vector

    def decode(self, vector: Tensor) -> Tensor:
        logits: Tensor = self.decoder(vector)
        return logits
