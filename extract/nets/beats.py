"""BEATs' encoder with the module names of the published checkpoints.

Chen et al. 2022, "BEATs: Audio Pre-Training with Acoustic Tokenizers" (arXiv 2212.09058);
constants: github.com/microsoft/unilm, folder beats, and the ``cfg`` in the published files.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 16  # frames and mel bands
PATCH_SIZE = 512
SIZE = 768
HIDDEN = 3072
LAYERS = 12
HEADS = 12
HEAD_SIZE = SIZE // HEADS
CLASSES = 527  # of AudioSet
POSITION_KERNEL = 128
POSITION_GROUPS = 16
BUCKETS = 320
MAX_DISTANCE = 800
RESIDUAL_SCALE = (2 * LAYERS) ** 0.25  # DeepNorm, arXiv 2203.00555, section 4, encoder only


class PositionConvolution(nn.Module):
    """A grouped convolution over the tokens, its weight split into norm and direction per tap."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(SIZE))
        self.weight_g = nn.Parameter(torch.ones(1, 1, POSITION_KERNEL))
        self.weight_v = nn.Parameter(torch.ones(SIZE, SIZE // POSITION_GROUPS, POSITION_KERNEL))

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, 768) -> the same."""
        weight = self.weight_v * (self.weight_g / self.weight_v.norm(dim=(0, 1), keepdim=True))
        mixed = F.conv1d(
            tokens.transpose(1, 2),
            weight,
            self.bias,
            padding=POSITION_KERNEL // 2,
            groups=POSITION_GROUPS,
        )
        return F.gelu(mixed[..., :-1]).transpose(1, 2)  # an even kernel gives one position more


class SelfAttention(nn.Module):
    """Attention with a position bias that each query's own content scales (WavLM's gate)."""

    def __init__(self, positions: nn.Embedding) -> None:
        super().__init__()
        self.grep_a = nn.Parameter(torch.ones(1, HEADS, 1, 1))
        self.relative_attention_bias = positions  # one for all layers
        self.k_proj = nn.Linear(SIZE, SIZE)
        self.v_proj = nn.Linear(SIZE, SIZE)
        self.q_proj = nn.Linear(SIZE, SIZE)
        self.out_proj = nn.Linear(SIZE, SIZE)
        self.grep_linear = nn.Linear(HEAD_SIZE, 8)

    def forward(self, tokens: Tensor, bias: Tensor, padding: Tensor) -> Tensor:
        """``bias`` (heads, tokens, tokens); ``padding`` (batch, 1, 1, tokens) is 0 or -inf."""
        query, key, value = (
            projection(tokens).unflatten(2, (HEADS, HEAD_SIZE)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        scaled = self.gate(query) * bias + padding
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=scaled)
        return torch.as_tensor(self.out_proj(mixed.transpose(1, 2).flatten(2)))

    def gate(self, query: Tensor) -> Tensor:
        """(batch, heads, tokens, 64) -> (batch, heads, tokens, 1), from the query before its scaling.

        Eight values, summed in two groups of four: the update and the reset gate of equation 4 in
        Chi et al. 2022 (XLM-E, arXiv 2106.16138), with the learned scale ``grep_a`` of WavLM.
        """
        gates = torch.sigmoid(self.grep_linear(query).unflatten(3, (2, 4)).sum(-1))
        update, reset = gates.chunk(2, dim=-1)
        return torch.as_tensor(update * (reset * self.grep_a - 1) + 2)


class Layer(nn.Module):
    """A transformer layer with its normalisation after each scaled residual (DeepNorm)."""

    def __init__(self, positions: nn.Embedding) -> None:
        super().__init__()
        self.self_attn = SelfAttention(positions)
        self.self_attn_layer_norm = nn.LayerNorm(SIZE)
        self.fc1 = nn.Linear(SIZE, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, SIZE)
        self.final_layer_norm = nn.LayerNorm(SIZE)

    def forward(self, tokens: Tensor, bias: Tensor, padding: Tensor) -> Tensor:
        attended = self.self_attn(tokens, bias, padding)
        tokens = self.self_attn_layer_norm(tokens * RESIDUAL_SCALE + attended)
        hidden = self.fc2(F.gelu(self.fc1(tokens)))
        return torch.as_tensor(self.final_layer_norm(tokens * RESIDUAL_SCALE + hidden))


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        positions = nn.Embedding(BUCKETS, HEADS)
        self.pos_conv = nn.Sequential(PositionConvolution())
        self.layers = nn.ModuleList(Layer(positions) for _ in range(LAYERS))
        self.layer_norm = nn.LayerNorm(SIZE)
        self.positions = (positions,)  # a tuple, so that it is not another name of the weights

    def forward(self, tokens: Tensor, heard: Tensor) -> Tensor:
        """(batch, tokens, 768), of which ``heard`` (batch, tokens) are not padding -> the same."""
        tokens = tokens * heard[..., None]
        tokens = self.layer_norm(tokens + self.pos_conv(tokens))
        buckets = relative_buckets(tokens.shape[1]).to(tokens.device)
        bias = self.positions[0](buckets).permute(2, 0, 1)
        padding = torch.zeros_like(heard, dtype=tokens.dtype).masked_fill(~heard, -math.inf)
        for layer in self.layers:
            tokens = layer(tokens, bias, padding[:, None, None])
        return tokens


class Beats(nn.Module):
    """BEATs_iter3+ fine-tuned on AudioSet: encoder and the 527-class predictor."""

    def __init__(self) -> None:
        super().__init__()
        self.post_extract_proj = nn.Linear(PATCH_SIZE, SIZE)
        self.patch_embedding = nn.Conv2d(1, PATCH_SIZE, PATCH, stride=PATCH, bias=False)
        self.encoder = Encoder()
        self.layer_norm = nn.LayerNorm(PATCH_SIZE)
        self.predictor = nn.Linear(SIZE, CLASSES)

    def encode(self, fbank: Tensor, heard: Tensor) -> Tensor:
        """Normalised filter banks (batch, frames, 128) -> (batch, tokens, 768).

        Eight tokens for each 16 frames, time first; frames beyond a multiple of 16 are not seen.
        ``heard`` (batch, tokens) is False for padding behind the sound, which no other token sees.
        """
        patches = self.patch_embedding(fbank[:, None]).flatten(2).transpose(1, 2)
        return torch.as_tensor(self.encoder(self.post_extract_proj(self.layer_norm(patches)), heard))

    def probabilities(self, features: Tensor) -> Tensor:
        """Mean tokens (batch, 768) -> tag probabilities (batch, 527)."""
        return torch.sigmoid(self.predictor(features))


def mean_heard(tokens: Tensor, heard: Tensor) -> Tensor:
    """(batch, tokens, size), (batch, tokens) -> mean of the tokens that are heard (batch, size)."""
    weights = heard[..., None].to(tokens.dtype)
    return (tokens * weights).sum(1) / weights.sum(1)


def relative_buckets(tokens: int) -> Tensor:
    """Bucket of (query, key) by the key's distance, (tokens, tokens), as in T5 (arXiv 1910.10683).

    Half of the 320 buckets are for keys behind the query. Of each half, the first 80 are single
    distances, the others grow logarithmically up to a distance of 800.
    """
    side = BUCKETS // 2
    exact = side // 2
    position = torch.arange(tokens)
    distance = position[None] - position[:, None]
    far = torch.log(distance.abs().float().clamp_min(1) / exact) / math.log(MAX_DISTANCE / exact)
    logarithmic = (exact + (far * (side - exact)).long()).clamp_max(side - 1)
    near = distance.abs() < exact
    return torch.where(near, distance.abs(), logarithmic) + side * (distance > 0).long()
