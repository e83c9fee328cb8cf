"""A network's last layer, kept beside what it reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BesideItsInput(nn.Module):
    """(batch, values) -> (batch, values + classes): the vector, then what the head says of it."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, vectors: Tensor) -> Tensor:
        return torch.cat([vectors, self.head(vectors)], dim=1)
