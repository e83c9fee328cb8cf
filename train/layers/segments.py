"""A video in equal segments, a snippet of each: how networks for frames see a long video.

Wang et al. 2016 ("Temporal Segment Networks", section 3.1) divide a video into segments of equal duration and
draw a snippet at random from each. Here time is counted in steps: of n steps and K segments, segment k is
the piece from k n / K to (k + 1) n / K. While training, a point in it is drawn, and the step that it lies in
is the snippet. Otherwise nothing is drawn: the snippet is the mean over the piece, what the draw expects.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from train.layers.basic import token, weighted_sums
from train.loading.batch import Batch


class Snippets(nn.Module):
    """Of each segment, one vector: the experts' side by side; a learned one stands for an absent expert.

    ``drawn``: whether a training step draws, or sees means too.
    """

    def __init__(self, inputs: Mapping[str, int], segments: int, *, drawn: bool = True) -> None:
        super().__init__()
        self.segments, self.drawn = segments, drawn
        self.width = sum(inputs.values())
        self.experts = tuple(inputs)
        self.absent = nn.ParameterList(token(dim) for dim in inputs.values())

    def forward(self, batch: Batch) -> Tensor:
        """(batch, segments, width)."""
        found = []
        for expert, absent in zip(self.experts, self.absent, strict=True):
            features, padding = batch.features[expert], batch.padding[expert]
            weights = segment_weights(padding, self.segments, draw=self.drawn and self.training)
            snippets = weighted_sums(features, weights)
            found.append(torch.where(batch.present[expert][:, None, None], snippets, absent))
        return torch.cat(found, dim=2)


def segment_weights(padding: Tensor, segments: int, *, draw: bool) -> Tensor:
    """How much each step is of each segment's snippet, (batch, segments, time); rows of a video's sum to 1.

    ``padding`` (batch, time) is True behind each video's steps. Padded steps have weight 0.
    """
    steps = (~padding).sum(dim=1).view(-1, 1, 1)
    length = steps / segments
    begins = torch.arange(segments, device=padding.device).view(1, -1, 1) * length
    places = torch.arange(padding.shape[1], device=padding.device)
    if draw:
        points = begins + torch.rand(begins.shape, device=padding.device) * length
        return (points.floor().clamp(max=steps - 1) == places).to(length.dtype)
    overlap = torch.minimum(places + 1.0, begins + length) - torch.maximum(places * 1.0, begins)
    return overlap.clamp(min=0) / length.clamp(min=1 / segments)
