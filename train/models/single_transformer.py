"""One transformer over the steps of all experts (Sulun et al. 2024, "single-transformer").

The tokens are <CLS>, then each expert's <SEP> and its steps (section 3.2.2). An expert has a <SEP>, a
projection and positions of its own. An expert that a video does not have leaves no token, nor does its <SEP>.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from train.layers.basic import StepTokens, TransformerOptions, token, transformer
from train.loading.batch import Batch
from train.model import GenreModel


class SingleTransformer(GenreModel):
    """Steps of different experts attend to each other."""

    summary = "one transformer over the steps of all experts, one <CLS>, a <SEP> before each expert"
    Options = TransformerOptions

    def __init__(self, inputs: Mapping[str, int], genres: int, options: TransformerOptions) -> None:
        super().__init__(inputs, genres, options)
        self.steps = nn.ModuleList(StepTokens(dim, options) for dim in inputs.values())
        self.cls = token(options.width)
        self.seps = nn.ParameterList(token(options.width) for _ in inputs)
        self.transformer = transformer(options)
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(options.width, genres))

    def embed(self, batch: Batch) -> Tensor:
        videos = len(batch)
        tokens = [self.cls.expand(videos, 1, -1)]
        hidden = []
        for expert, sep, steps in zip(self.inputs, self.seps, self.steps, strict=True):
            padding = batch.padding[expert]
            tokens += [sep.expand(videos, 1, -1), steps(batch.features[expert], padding)]
            hidden += [padding.all(dim=1, keepdim=True), padding]
        seen = torch.zeros_like(hidden[0][:, :1])
        encoded: Tensor = self.transformer(torch.cat(tokens, dim=1), torch.cat([seen, *hidden], dim=1))
        return encoded

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits
