"""What ViT (Dosovitskiy et al. 2021) and AST share, under the names of the Hugging Face files.

Pre-norm blocks, exact GELU, layer norms with eps 1e-12. ViT and AST checkpoints share these names,
which ``transformers`` itself renames on load since version 5; here they are the published ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from extract.nets.self_attention import WIDTH, SelfAttention

PATCH_SIZE = 16
MLP_WIDTH = 3072
LAYERS = 12
NORM_EPS = 1e-12


class Dense(nn.Module):
    """A linear layer under the name ``dense``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)

    def forward(self, values: Tensor) -> Tensor:
        result: Tensor = self.dense(values)
        return result


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = SelfAttention()
        self.output = Dense(WIDTH, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.output(self.attention(tokens))
        return result


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.intermediate = Dense(WIDTH, MLP_WIDTH)
        self.output = Dense(MLP_WIDTH, WIDTH)
        self.layernorm_before = nn.LayerNorm(WIDTH, eps=NORM_EPS)
        self.layernorm_after = nn.LayerNorm(WIDTH, eps=NORM_EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.layernorm_before(tokens))
        result: Tensor = tokens + self.output(F.gelu(self.intermediate(self.layernorm_after(tokens))))
        return result


class VitEncoder(nn.Module):
    """The base size: 12 blocks, width 768, 12 heads; (batch, tokens, 768) -> the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Block() for _ in range(LAYERS))

    def forward(self, tokens: Tensor) -> Tensor:
        for block in self.layer:
            tokens = block(tokens)
        return tokens


class PatchEmbeddings(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(channels, WIDTH, PATCH_SIZE, stride=stride)


class Embeddings(nn.Module):
    """The leading tokens of these names, then patches of 16 x 16 values, row by row; positions added."""

    def __init__(self, leading: tuple[str, ...], *, channels: int, stride: int, patches: int) -> None:
        super().__init__()
        self.leading = leading
        for name in leading:
            self.register_parameter(name, nn.Parameter(torch.zeros(1, 1, WIDTH)))
        self.position_embeddings = nn.Parameter(torch.zeros(1, len(leading) + patches, WIDTH))
        self.patch_embeddings = PatchEmbeddings(channels, stride)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, tokens, 768)."""
        patches = self.patch_embeddings.projection(images).flatten(2).transpose(1, 2)
        first = [self.get_parameter(name).expand(len(images), -1, -1) for name in self.leading]
        return torch.cat([*first, patches], dim=1) + self.position_embeddings


class VitTransformer(nn.Module):
    """Embeddings, encoder and the last layer norm."""

    def __init__(self, embeddings: Embeddings) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.encoder = VitEncoder()
        self.layernorm = nn.LayerNorm(WIDTH, eps=NORM_EPS)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channels, height, width) -> the last hidden state (batch, tokens, 768)."""
        return torch.as_tensor(self.layernorm(self.encoder(self.embeddings(images))))
