"""A transformer of which one token is read, <CLS>: its last block computes that token alone.

What comes before the last block computes few tokens that are padding: attention does not care where a token
stands, so those that are seen move together, and rows of similar length are computed together.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

GROUP = 8  # rows of similar length that are computed together; of 4 to 32 the fastest (``bench.fit``)


class ClsTransformer(nn.Module):
    """The blocks of :class:`torch.nn.TransformerEncoder`, and of the last one what the first token gets.

    Parameters, and so saved weights, are those of ``nn.TransformerEncoder``: ``layers`` copies of ``block``,
    and a last normalisation where ``block`` normalises its inputs or ``final_norm`` asks for one.
    """

    def __init__(self, block: nn.TransformerEncoderLayer, layers: int, *, final_norm: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(copy.deepcopy(block) for _ in range(layers))
        normed = block.norm_first or final_norm
        self.norm = nn.LayerNorm(block.linear1.in_features) if normed else nn.Identity()

    def forward(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        """(batch, tokens, width) to (batch, width), what the encoder gives for the first token.

        ``hidden`` (batch, tokens) is True where a token is not to be seen; the first one always is seen.
        """
        if len(self.layers) == 1:
            return self._cls(tokens, hidden)
        by_length = hidden.sum(dim=1).argsort()
        groups = torch.split(by_length, GROUP)
        found = [self._cls(*_seen_ones(tokens[rows], hidden[rows])) for rows in groups]
        return torch.cat(found)[by_length.argsort()]

    def _cls(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        *before, last = self.layers
        for block in before:
            tokens = block(tokens, src_key_padding_mask=hidden)
        cls: Tensor = self.norm(_first_of(last, tokens, hidden))
        return cls


def _seen_ones(tokens: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's seen tokens, in their order, and as many hidden ones as the longest row makes it keep."""
    longest = int((~hidden).sum(dim=1).max())
    places = hidden.byte().argsort(dim=1, stable=True)[:, :longest]
    return tokens.gather(1, places.unsqueeze(2).expand(-1, -1, tokens.shape[2])), hidden.gather(1, places)


def _first_of(block: nn.Module, tokens: Tensor, hidden: Tensor) -> Tensor:
    """The first token of a block's output: (batch, tokens, width) to (batch, width)."""
    assert isinstance(block, nn.TransformerEncoderLayer)
    first: Tensor = tokens[:, 0]
    if block.norm_first:
        first = first + block.dropout1(_seen_by_first(block.self_attn, block.norm1(tokens), hidden))
        first = first + _feedforward(block, block.norm2(first))
    else:
        first = block.norm1(first + block.dropout1(_seen_by_first(block.self_attn, tokens, hidden)))
        first = block.norm2(first + _feedforward(block, first))
    return first


def _feedforward(block: nn.TransformerEncoderLayer, vectors: Tensor) -> Tensor:
    inside = block.dropout(block.activation(block.linear1(vectors)))
    outside: Tensor = block.dropout2(block.linear2(inside))
    return outside


def _seen_by_first(attention: nn.MultiheadAttention, tokens: Tensor, hidden: Tensor) -> Tensor:
    """Self-attention of the first token alone: (batch, tokens, width) to (batch, width).

    For one query the tokens' keys and values need not be made. With q the query of a head and K and V its
    layers of keys and values, q . (K x) = (K^T q) . x for every token x, and the weighted sum of the V x is V
    of the weighted sum of the x. The keys' bias adds the same to every score, which the softmax takes away.
    """
    heads, width = attention.num_heads, attention.head_dim
    queries, keys, values = attention.in_proj_weight.chunk(3)
    query_bias, _, value_bias = attention.in_proj_bias.chunk(3)
    query = functional.linear(tokens[:, 0], queries, query_bias).view(-1, heads, width)
    looked_for = torch.einsum("bhd,hdw->bhw", query, keys.view(heads, width, -1))
    scores = looked_for @ tokens.transpose(1, 2) / math.sqrt(width)
    shares = scores.masked_fill(hidden.unsqueeze(1), -math.inf).softmax(dim=2)
    shares = functional.dropout(shares, attention.dropout, attention.training)
    seen = torch.einsum("bhw,hdw->bhd", shares @ tokens, values.view(heads, width, -1))
    seen = seen + shares.sum(dim=2, keepdim=True) * value_bias.view(heads, width)
    joined: Tensor = attention.out_proj(seen.flatten(1))
    return joined
