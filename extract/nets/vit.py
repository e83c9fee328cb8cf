"""ViT-B/16 at 224 x 224 (Dosovitskiy et al. 2021) under the names of Google's Hugging Face files."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from extract.nets.self_attention import WIDTH
from extract.nets.vit_encoder import PATCH_SIZE, Dense, Embeddings, VitTransformer

IMAGE_SIZE = 224
PATCHES = (IMAGE_SIZE // PATCH_SIZE) ** 2


class Vit(VitTransformer):
    """``pooler`` is in the file, so it is here; :meth:`forward` leaves it out."""

    def __init__(self) -> None:
        super().__init__(Embeddings(("cls_token",), channels=3, stride=PATCH_SIZE, patches=PATCHES))
        self.pooler = Dense(WIDTH, WIDTH)

    def tokens(self, images: Tensor) -> Tensor:
        """(batch, 3, 224, 224) in [-1, 1] -> the last hidden state (batch, 197, 768), class token first."""
        return super().forward(images)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, 224, 224) in [-1, 1] -> the class token (batch, 768) after the final layer norm."""
        return self.tokens(images)[:, 0]


class VitClassifier(nn.Module):
    """With the last layer of a fine-tuned file: what its class token is, and what it says."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        embeddings = Embeddings(("cls_token",), channels=3, stride=PATCH_SIZE, patches=PATCHES)
        self.vit = VitTransformer(embeddings)
        self.classifier = nn.Linear(WIDTH, classes)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, 224, 224) in [-1, 1] -> (batch, 768 + classes): token before the last norm, logits."""
        token = self.vit.encoder(self.vit.embeddings(images))[:, 0]
        return torch.cat([token, self.classifier(self.vit.layernorm(token))], dim=1)
