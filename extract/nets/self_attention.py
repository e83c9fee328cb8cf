"""Self-attention of transformers of the base size, under the names of the Hugging Face files."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 768
HEADS = 12


class SelfAttention(nn.Module):
    """Every token attends to every token, in twelve heads; what joins the heads is not a part of it."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, 768) -> the same shape, heads concatenated."""
        heads = (
            layer(tokens).unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        return F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
