"""The ViT + AST baseline of Sulun et al. 2024, in two stages.

The networks that see pictures and sound are fixed: ``vit`` and ``ast`` are experts. Of each, a
transformer over time makes one vector (first stage); a transformer over <CLS> and these vectors joins
them (second stage). The paper does not say how the two are joined; docs/results.md names the choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from train.batch import Batch
from train.layers import SequenceEncoder, TransformerOptions, token, transformer
from train.model import Model


class VitAst(Model):
    """Works with any experts; with ``vit`` and ``ast`` it is the baseline."""

    summary = "two stages: a transformer over each expert's time, one over the experts"
    Options = TransformerOptions

    def __init__(self, inputs: Mapping[str, int], genres: int, options: TransformerOptions) -> None:
        super().__init__(inputs, genres, options)
        self.encoders = nn.ModuleList(SequenceEncoder(dim, options) for dim in inputs.values())
        self.kinds = nn.Parameter(0.02 * torch.randn(len(inputs), options.width))
        self.cls = token(options.width)
        self.transformer = transformer(replace(options, layers=1))
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(options.width, genres))

    def embed(self, batch: Batch) -> Tensor:
        vectors = [
            encoder(batch.features[expert], batch.padding[expert])
            for expert, encoder in zip(self.inputs, self.encoders, strict=True)
        ]
        tokens = torch.stack(vectors, dim=1) + self.kinds
        absent = torch.stack([batch.padding[expert].all(dim=1) for expert in self.inputs], dim=1)
        tokens = torch.cat([self.cls.expand(len(tokens), 1, -1), tokens], dim=1)
        hidden = torch.cat([torch.zeros_like(absent[:, :1]), absent], dim=1)
        encoded: Tensor = self.transformer(tokens, src_key_padding_mask=hidden)
        return encoded[:, 0]

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits
