"""DistilBERT base uncased (Sanh et al. 2019) under the names of its published file.

``transformers`` has it too, with the same bits, but its import alone takes four seconds of a processor.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 768
HEADS = 12
MLP_WIDTH = 3072
LAYERS = 6
WORDS = 30522
MAX_LENGTH = 512  # tokens of a sequence
NORM_EPS = 1e-12


class Embeddings(nn.Module):
    """Numbers of tokens (batch, length) -> (batch, length, 768): word and place, added and normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(WORDS, WIDTH)
        self.position_embeddings = nn.Embedding(MAX_LENGTH, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=NORM_EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        places = self.position_embeddings(torch.arange(tokens.shape[1], device=tokens.device))
        result: Tensor = self.LayerNorm(self.word_embeddings(tokens) + places)
        return result


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_lin = nn.Linear(WIDTH, WIDTH)
        self.k_lin = nn.Linear(WIDTH, WIDTH)
        self.v_lin = nn.Linear(WIDTH, WIDTH)
        self.out_lin = nn.Linear(WIDTH, WIDTH)

    def forward(self, states: Tensor, real: Tensor) -> Tensor:
        query, key, value = (
            layer(states).unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(1, 2)
            for layer in (self.q_lin, self.k_lin, self.v_lin)
        )
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=real)
        result: Tensor = self.out_lin(seen.transpose(1, 2).flatten(2))
        return result


class Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin1 = nn.Linear(WIDTH, MLP_WIDTH)
        self.lin2 = nn.Linear(MLP_WIDTH, WIDTH)

    def forward(self, states: Tensor) -> Tensor:
        result: Tensor = self.lin2(F.gelu(self.lin1(states)))
        return result


class Block(nn.Module):
    """Attention, then the perceptron; each is added to its input, then normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = SelfAttention()
        self.sa_layer_norm = nn.LayerNorm(WIDTH, eps=NORM_EPS)
        self.ffn = Perceptron()
        self.output_layer_norm = nn.LayerNorm(WIDTH, eps=NORM_EPS)

    def forward(self, states: Tensor, real: Tensor) -> Tensor:
        states = self.sa_layer_norm(self.attention(states, real) + states)
        result: Tensor = self.output_layer_norm(self.ffn(states) + states)
        return result


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Block() for _ in range(LAYERS))

    def forward(self, states: Tensor, real: Tensor) -> Tensor:
        for block in self.layer:
            states = block(states, real)
        return states


class DistilBert(nn.Module):
    """Numbers of tokens, and which of them are not padding, (batch, length) -> (batch, length, 768).

    The mask is always applied, also where nothing is padded: a row then does not depend on its batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.transformer = Transformer()

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        result: Tensor = self.transformer(self.embeddings(tokens), mask[:, None, None, :].bool())
        return result
