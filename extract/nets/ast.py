"""The audio spectrogram transformer under the names of its Hugging Face file.

Gong, Chung & Glass 2021, "AST: Audio Spectrogram Transformer" (arXiv 2104.01778): a DeiT of the
base size on overlapping 16 x 16 patches of a spectrogram.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from extract.nets.self_attention import WIDTH
from extract.nets.vit_encoder import NORM_EPS, PATCH_SIZE, Embeddings, VitTransformer

FRAMES = 1024
BANDS = 128
STRIDE = 10
PATCHES = ((BANDS - PATCH_SIZE) // STRIDE + 1) * ((FRAMES - PATCH_SIZE) // STRIDE + 1)  # 12 x 101
LEADING = ("cls_token", "distillation_token")
CLASSES = 527  # of AudioSet


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layernorm = nn.LayerNorm(WIDTH, eps=NORM_EPS)
        self.dense = nn.Linear(WIDTH, CLASSES)

    def forward(self, pooled: Tensor) -> Tensor:
        """(batch, 768), the mean of both tokens -> the classes' scores before the sigmoid (batch, 527)."""
        return torch.as_tensor(self.dense(self.layernorm(pooled)))


class Ast(nn.Module):
    """``ASTForAudioClassification``, whose classifier is in the file and which :meth:`forward` leaves out."""

    def __init__(self) -> None:
        super().__init__()
        embeddings = Embeddings(LEADING, channels=1, stride=STRIDE, patches=PATCHES)
        self.audio_spectrogram_transformer = VitTransformer(embeddings)
        self.classifier = Classifier()

    def tokens(self, fbank: Tensor) -> Tensor:
        """Normalised filter banks (batch, 1024, 128) -> last hidden state (batch, 1214, 768).

        The class and the distillation token, then the patches, band by band.
        """
        return torch.as_tensor(self.audio_spectrogram_transformer(fbank.transpose(1, 2)[:, None]))

    def forward(self, fbank: Tensor) -> Tensor:
        """(batch, 1024, 128) -> mean of the class and the distillation token (batch, 768)."""
        return self.tokens(fbank)[:, :2].mean(1)
