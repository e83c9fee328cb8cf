"""The ViT + AST baseline of Sulun et al. 2024 (sections 3.2.5 and 3.2.6), in its two stages.

The networks that see pictures and sound are fixed: ``vit`` and ``ast`` are experts. First a multi-layer
perceptron for each is trained on single frames, which have the genres of their video. Then these are frozen,
and a transformer over the time of each and a linear layer over both are trained on whole videos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from train.layers.basic import SequenceEncoder, TransformerOptions
from train.layers.frame_mlp import FrameMlp
from train.layers.gating import spread
from train.loading.batch import Batch
from train.model import GenreModel


@dataclass(frozen=True)
class VitAstOptions(TransformerOptions):
    """``frame_width``, ``frame_layers``: of the perceptrons on single frames."""

    frame_width: int = 256
    frame_layers: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("frame_width", "frame_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 is needed")


class VitAst(GenreModel):
    """Works with any experts; with ``vit`` and ``ast`` it is the baseline."""

    summary = "two stages: a perceptron on each expert's single steps, then transformers over time"
    Options = VitAstOptions

    def __init__(self, inputs: Mapping[str, int], genres: int, options: VitAstOptions) -> None:
        super().__init__(inputs, genres, options)
        sizes: Any = {
            "width": options.frame_width, "layers": options.frame_layers, "dropout": options.dropout
        }  # fmt: skip
        self.perceptrons: Any = nn.ModuleList(
            FrameMlp({expert: dim}, genres, **sizes) for expert, dim in inputs.items()
        )
        self.encoders = nn.ModuleList(SequenceEncoder(options.frame_width, options) for _ in inputs)
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(options.width * len(inputs), genres))

    def independent_networks(self) -> Mapping[str, GenreModel]:
        return dict(zip(self.inputs, self.perceptrons, strict=True))

    def embed(self, batch: Batch) -> Tensor:
        vectors = [
            encoder(spread(*network.vectors(batch)), batch.padding[network.expert])
            for network, encoder in zip(self.perceptrons, self.encoders, strict=True)
        ]
        return torch.cat(vectors, dim=1)

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits
