"""How the experts of a clip become its one vector (Fish, Weinbren and Gilbert 2021, sections 3.1, 4.3, 7)."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.layers.gating import CollaborativeGating, GatedEmbedding, spread

Fusion = Literal["gated", "naive-concat", "direct"]


class GatedFusion(nn.Module):
    """The experts gate each other; each goes through a gated embedding module of its own.

    What these give, side by side, has ``width`` values, as evenly divided among the experts as can be, and
    unit length. The paper's four experts have 32 of its 128 each.
    """

    def __init__(self, gating: CollaborativeGating, experts: int, inputs: int, width: int) -> None:
        super().__init__()
        self.gating = gating
        ends = [width * i // experts for i in range(experts + 1)]
        shares = [end - begin for begin, end in pairwise(ends)]
        self.embeddings = nn.ModuleList(GatedEmbedding(inputs, share) for share in shares)
        self.width = width

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        """(clips, experts, inputs) and (clips, experts) to (clips, width); an absent expert has zeros."""
        gated = self.gating(vectors, present)
        embedded = [
            spread(embedding(gated[there, i]), there)
            for i, (embedding, there) in enumerate(zip(self.embeddings, present.unbind(1), strict=True))
        ]
        return functional.normalize(torch.cat(embedded, dim=1), dim=1)


class SideBySide(nn.Module):
    """Section 4.3's baselines, without any gate: the experts side by side.

    With a ``width`` one layer with ReLU follows (naive concatenation); without, nothing does.
    """

    def __init__(self, experts: int, inputs: int, width: int | None) -> None:
        super().__init__()
        self.layer = (
            nn.Identity() if width is None else nn.Sequential(nn.Linear(experts * inputs, width), nn.ReLU())
        )
        self.width = width or experts * inputs

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        """As :meth:`GatedFusion.forward`."""
        joined: Tensor = self.layer(vectors.flatten(1))
        return joined
