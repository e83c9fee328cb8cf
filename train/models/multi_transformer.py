"""One transformer for each expert (Sulun et al. 2024, "multi-transformer").

Each has a <CLS> of its own; the <CLS> vectors are concatenated and classified. An expert that is
averaged over time needs no transformer: its mean is projected and joins the concatenation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from extract.errors import UsageError
from train.layers.basic import AveragedEncoder, SequenceEncoder, TransformerOptions
from train.loading.batch import Batch
from train.model import GenreModel


@dataclass(frozen=True)
class MultiTransformerOptions(TransformerOptions):
    """``averaged``: the experts that are averaged over time.

    ``head``: width of a hidden layer before the genres; 0: none, as in the paper. What is only in the
    pairing of experts cannot be read from a concatenation by one linear layer.
    """

    averaged: tuple[str, ...] = ()
    head: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.head < 0:
            raise ValueError(f"head is {self.head}; 0 or a width is needed")


class MultiTransformer(GenreModel):
    """Experts meet in the last layer only."""

    summary = "a transformer for each expert, their <CLS> concatenated"
    Options = MultiTransformerOptions

    def __init__(self, inputs: Mapping[str, int], genres: int, options: MultiTransformerOptions) -> None:
        super().__init__(inputs, genres, options)
        unknown = set(options.averaged) - set(inputs)
        if unknown:
            raise UsageError(
                f"model.averaged names {', '.join(sorted(unknown))}; the experts are {', '.join(inputs)}"
            )
        self.encoders = nn.ModuleList(
            AveragedEncoder(dim, options.width)
            if expert in options.averaged
            else SequenceEncoder(dim, options)
            for expert, dim in inputs.items()
        )
        width = options.width * len(inputs)
        layers: list[nn.Module] = [nn.Dropout(options.dropout)]
        if options.head:
            layers += [nn.Linear(width, options.head), nn.GELU(), nn.Dropout(options.dropout)]
        self.head = nn.Sequential(*layers, nn.Linear(options.head or width, genres))

    def embed(self, batch: Batch) -> Tensor:
        vectors = [
            encoder(batch.features[expert], batch.padding[expert])
            for expert, encoder in zip(self.inputs, self.encoders, strict=True)
        ]
        return torch.cat(vectors, dim=1)

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits
