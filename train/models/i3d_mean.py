"""Features of clips averaged over a trailer, one linear layer: I3D of MovieNet's table (Huang et al. 2020).

I3D (Carreira and Zisserman 2017) averages what it predicts for the clips of a video. Its last layer is
linear, so that is what it predicts for the average of their features.
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
class I3dMeanOptions:
    """``dropout`` before the layer."""

    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_dropout(self.dropout)


class I3dMean(GenreModel):
    """Works with any experts; with ``i3d_rgb`` it is the baseline."""

    summary = "each expert averaged over time, one linear layer"
    Options = I3dMeanOptions
    uses_order = False

    def __init__(self, inputs: Mapping[str, int], genres: int, options: I3dMeanOptions) -> None:
        super().__init__(inputs, genres, options)
        self.mean = Snippets(inputs, segments=1, drawn=False)
        self.head = nn.Sequential(nn.Dropout(options.dropout), nn.Linear(self.mean.width, genres))

    def embed(self, batch: Batch) -> Tensor:
        mean: Tensor = self.mean(batch)[:, 0]
        return mean

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits
