"""The audio spectrogram transformer under the names of its Hugging Face file.

Gong, Chung & Glass 2021, "AST: Audio Spectrogram Transformer" (arXiv 2104.01778): a DeiT of the
base size on overlapping 16 x 16 patches of a spectrogram.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from extract.nets.vit_encoder import NORM_EPS, WIDTH, VitEncoder

FRAMES = 1024
BANDS = 128
PATCH_SIZE = 16
STRIDE = 10
PATCHES = ((BANDS - PATCH_SIZE) // STRIDE + 1) * ((FRAMES - PATCH_SIZE) // STRIDE + 1)  # 12 x 101
CLASSES = 527  # of AudioSet


class PatchEmbeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Conv2d(1, WIDTH, PATCH_SIZE, stride=STRIDE)


class Embeddings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.distillation_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.position_embeddings = nn.Parameter(torch.zeros(1, 2 + PATCHES, WIDTH))
        self.patch_embeddings = PatchEmbeddings()

    def forward(self, fbank: Tensor) -> Tensor:
        """(batch, 1024, 128) -> (batch, 1214, 768): two tokens, then the patches, band by band."""
        patches = self.patch_embeddings.projection(fbank.transpose(1, 2)[:, None])
        first = [token.expand(len(fbank), -1, -1) for token in (self.cls_token, self.distillation_token)]
        return torch.cat([*first, patches.flatten(2).transpose(1, 2)], dim=1) + self.position_embeddings


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.encoder = VitEncoder()
        self.layernorm = nn.LayerNorm(WIDTH, eps=NORM_EPS)

    def forward(self, fbank: Tensor) -> Tensor:
        return torch.as_tensor(self.layernorm(self.encoder(self.embeddings(fbank))))


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layernorm = nn.LayerNorm(WIDTH, eps=NORM_EPS)
        self.dense = nn.Linear(WIDTH, CLASSES)


class Ast(nn.Module):
    """``ASTForAudioClassification``, whose classifier is in the file and which :meth:`forward` leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_spectrogram_transformer = Transformer()
        self.classifier = Classifier()

    def tokens(self, fbank: Tensor) -> Tensor:
        """Normalised filter banks (batch, 1024, 128) -> last hidden state (batch, 1214, 768)."""
        return torch.as_tensor(self.audio_spectrogram_transformer(fbank))

    def forward(self, fbank: Tensor) -> Tensor:
        """(batch, 1024, 128) -> mean of the class and the distillation token (batch, 768)."""
        return self.tokens(fbank)[:, :2].mean(1)
