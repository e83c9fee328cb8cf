"""The image tower of CLIP ViT-B/32 (Radford et al. 2021) under the names of OpenAI's file.

``open_clip`` has it too, with the same bits, but its import brings torchvision, timm and transformers along:
four seconds of a processor before the first picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

IMAGE_SIZE = 224
PATCH_SIZE = 32
WIDTH = 768
HEADS = 12
MLP_WIDTH = 3072
LAYERS = 12
DIMENSION = 512
QUICK_GELU = 1.702  # OpenAI trained with this approximation of GELU


class QuickGelu(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values * torch.sigmoid(QUICK_GELU * values)


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c_fc = nn.Linear(WIDTH, MLP_WIDTH)
        self.gelu = QuickGelu()
        self.c_proj = nn.Linear(MLP_WIDTH, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.c_proj(self.gelu(self.c_fc(tokens)))
        return result


class Block(nn.Module):
    """Attention, then the perceptron, each after a norm and added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH)
        self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.ln_2 = nn.LayerNorm(WIDTH)
        self.mlp = Mlp()

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.ln_1(tokens)
        tokens = tokens + self.attn(normed, normed, normed, need_weights=False)[0]
        result: Tensor = tokens + self.mlp(self.ln_2(tokens))
        return result


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*(Block() for _ in range(LAYERS)))

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.resblocks(tokens)
        return result


class ClipTower(nn.Module):
    """(batch, 3, 224, 224), normalised -> the projected class token (batch, 512), of any length."""

    def __init__(self) -> None:
        super().__init__()
        tokens = 1 + (IMAGE_SIZE // PATCH_SIZE) ** 2
        self.class_embedding = nn.Parameter(torch.zeros(WIDTH))
        self.positional_embedding = nn.Parameter(torch.zeros(tokens, WIDTH))
        self.proj = nn.Parameter(torch.zeros(WIDTH, DIMENSION))
        self.conv1 = nn.Conv2d(3, WIDTH, PATCH_SIZE, stride=PATCH_SIZE, bias=False)
        self.ln_pre = nn.LayerNorm(WIDTH)
        self.transformer = Transformer()
        self.ln_post = nn.LayerNorm(WIDTH)

    def forward(self, images: Tensor) -> Tensor:
        patches: Tensor = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(images), 1, -1)
        tokens = torch.cat([first, patches], dim=1) + self.positional_embedding
        tokens = self.transformer(self.ln_pre(tokens))
        pooled: Tensor = self.ln_post(tokens[:, 0]) @ self.proj
        return pooled
