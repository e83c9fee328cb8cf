"""ViT-B/16 at 224 x 224 (Dosovitskiy et al. 2021) under the names of Google's Hugging Face files."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from extract.nets.vit_encoder import NORM_EPS, WIDTH, Dense, VitEncoder

IMAGE_SIZE = 224
PATCH_SIZE = 16
PATCHES = (IMAGE_SIZE // PATCH_SIZE) ** 2


class PatchEmbeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, WIDTH, PATCH_SIZE, stride=PATCH_SIZE)


class Embeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.position_embeddings = nn.Parameter(torch.zeros(1, 1 + PATCHES, WIDTH))
        self.patch_embeddings = PatchEmbeddings()

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch_embeddings.projection(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1)
        return tokens + self.position_embeddings


class Vit(nn.Module):
    """``pooler`` is in the file, so it is here; :meth:`forward` leaves it out."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.encoder = VitEncoder()
        self.layernorm = nn.LayerNorm(WIDTH, eps=NORM_EPS)
        self.pooler = Dense(WIDTH, WIDTH)

    def tokens(self, images: Tensor) -> Tensor:
        """(batch, 3, 224, 224) in [-1, 1] -> the last hidden state (batch, 197, 768), class token first."""
        result: Tensor = self.layernorm(self.encoder(self.embeddings(images)))
        return result

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, 224, 224) in [-1, 1] -> the class token (batch, 768) after the final layer norm."""
        return self.tokens(images)[:, 0]
