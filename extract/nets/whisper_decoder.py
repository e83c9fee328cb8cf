"""Whisper's text decoder on caches of fixed shape: one token of every row at each call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from whisper.model import MultiHeadAttention, Whisper


@dataclass(frozen=True)
class _Cache:
    """Keys and values of one layer for what is said, (rows, positions, heads, width), and for what is
    heard, (rows, heads, 1500, width).
    """

    said: tuple[Tensor, Tensor]
    heard: tuple[Tensor, Tensor]


class StaticDecoder:
    """openai-whisper's ``TextDecoder`` for ``rows`` windows, each at its own position.

    The package's caches grow by a token at each step, so that all rows stand at the same position and every
    step has another shape. Here places for ``positions`` tokens are laid out at once, and those not yet
    said are masked: all steps have one shape, which a CUDA graph can hold, and a row can begin while
    others are on their way. The weights are the network's own; the caches have their type.
    """

    def __init__(self, network: Whisper, *, rows: int, positions: int) -> None:
        dims, self.device = network.dims, network.device
        self.rows, self.positions = rows, positions
        self._decoder = network.decoder
        self.dtype = network.decoder.token_embedding.weight.dtype
        heads, width = dims.n_text_head, dims.n_text_state // dims.n_text_head
        said, heard = (rows, positions, heads, width), (rows, heads, dims.n_audio_ctx, width)

        def pair(shape: Sequence[int]) -> tuple[Tensor, Tensor]:
            keys, values = torch.zeros(2, *shape, dtype=self.dtype, device=self.device)
            return keys, values

        self._caches = [_Cache(pair(said), pair(heard)) for _ in self._decoder.blocks]
        self._row = torch.arange(rows, device=self.device)
        self._place = torch.arange(positions, device=self.device)

    def hear(self, rows: Tensor | slice, features: Tensor) -> None:
        """Give n ``rows`` what the encoder made of their windows, (n, 1500, width)."""
        for block, cache in zip(self._decoder.blocks, self._caches, strict=True):
            attention = block.cross_attn
            for layer, kept in zip((attention.key, attention.value), cache.heard, strict=True):
                made = _linear(layer, features).view(*features.shape[:2], attention.n_head, -1)
                kept[rows] = made.transpose(1, 2)

    def logits(self, tokens: Tensor, positions: Tensor, *, attending: int) -> Tensor:
        """(rows, vocabulary) float32: what may follow ``tokens`` (rows,), said at ``positions`` (rows,).

        Only the first ``attending`` rows look at their caches; of the others, the logits mean nothing.
        """
        decoder = self._decoder
        mask = (self._place <= positions[:attending, None])[:, None, None]
        x = decoder.token_embedding(tokens).float() + decoder.positional_embedding[positions]
        for block, cache in zip(decoder.blocks, self._caches, strict=True):
            own, cross = block.attn, block.cross_attn
            y = _norm(block.attn_ln, x)
            for layer, kept in zip((own.key, own.value), cache.said, strict=True):
                kept[self._row, positions] = _linear(layer, y).view(self.rows, own.n_head, -1)
            keys, values = (kept[:attending].transpose(1, 2) for kept in cache.said)
            x = x + _attend(own, y, keys, values, mask)
            keys, values = (kept[:attending] for kept in cache.heard)
            x = x + _attend(cross, _norm(block.cross_attn_ln, x), keys, values)
            wide, activation, narrow = block.mlp
            x = x + _linear(narrow, activation(_linear(wide, _norm(block.mlp_ln, x))))
        return F.linear(_norm(decoder.ln, x).to(self.dtype), decoder.token_embedding.weight).float()


def _attend(
    attention: MultiHeadAttention, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None
) -> Tensor:
    """(rows, width): what the first n of ``x`` find in ``keys`` (n, heads, times, width); others, zeros."""
    attending, heads, _, width = keys.shape
    queries = _linear(attention.query, x)[:attending].view(attending, heads, 1, width)
    found = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask).flatten(1)
    return _linear(attention.out, F.pad(found, (0, 0, 0, len(x) - attending)))


# Layers without the package's forward, which casts weights to the type of its input at each call.


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return F.linear(x.to(layer.weight.dtype), layer.weight, layer.bias)


def _norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    return F.layer_norm(x.float(), layer.normalized_shape, layer.weight, layer.bias, layer.eps)
