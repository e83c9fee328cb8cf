"""After the ViT + AST baseline of Sulun et al. 2024 (sections 3.2.5 and 3.2.6), in one stage.

The networks that see pictures and sound are fixed: ``vit`` and ``ast`` are experts. Of each, a transformer
over time makes one vector; a hidden layer over both vectors joins them. The paper first trains an image MLP
and an audio MLP on single frames with the video's labels and freezes them, and joins the two vectors by a
linear layer: neither is done here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from train.layers.basic import SequenceEncoder, TransformerOptions
from train.loading.batch import Batch
from train.model import GenreModel


@dataclass(frozen=True)
class VitAstOptions(TransformerOptions):
    """``joint``: width of the hidden layer over the vectors."""

    joint: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.joint < 1:
            raise ValueError(f"joint is {self.joint}; at least 1 is needed")


class VitAst(GenreModel):
    """Works with any experts; with ``vit`` and ``ast`` it is the baseline."""

    summary = "a transformer over each expert's time, a hidden layer over all"
    Options = VitAstOptions

    def __init__(self, inputs: Mapping[str, int], genres: int, options: VitAstOptions) -> None:
        super().__init__(inputs, genres, options)
        self.encoders = nn.ModuleList(SequenceEncoder(dim, options) for dim in inputs.values())
        self.joint = nn.Sequential(
            nn.Dropout(options.dropout), nn.Linear(options.width * len(inputs), options.joint), nn.GELU()
        )
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(options.joint, genres))

    def embed(self, batch: Batch) -> Tensor:
        vectors = [
            encoder(batch.features[expert], batch.padding[expert])
            for expert, encoder in zip(self.inputs, self.encoders, strict=True)
        ]
        embedded: Tensor = self.joint(torch.cat(vectors, dim=1))
        return embedded

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits
