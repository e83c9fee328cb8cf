"""VGGish, an audio network after VGG-A, with the module names of torchvggish's checkpoint.

Hershey et al. 2017, "CNN architectures for large-scale audio classification" (arXiv 1609.09430);
published as tensorflow/models, research/audioset/vggish, and for PyTorch as
github.com/harritaylor/torchvggish.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

EMBEDDING_SIZE = 128
CHANNELS = (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool")
QUANTISED_RANGE = 2.0  # post-processed values are clipped to -2 ... 2
QUANTISED_STEPS = 255


class Vggish(nn.Module):
    """(batch, 1, 96, 64) log-mel examples -> (batch, 128), before the last ReLU."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for step in CHANNELS:
            if isinstance(step, str):
                layers.append(nn.MaxPool2d(2, 2))
            else:
                layers += [nn.Conv2d(channels, step, 3, padding=1), nn.ReLU(inplace=True)]
                channels = step
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 6 * 4, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, EMBEDDING_SIZE),
        )

    def forward(self, examples: Tensor) -> Tensor:
        maps = self.features(examples).permute(0, 2, 3, 1)  # TensorFlow flattens with channels last
        return torch.as_tensor(self.embeddings(maps.flatten(1)))


class VggishPca(nn.Module):
    """The published post-processing of embeddings after the ReLU: projection and whitening."""

    def __init__(self) -> None:
        super().__init__()
        self.pca_eigen_vectors = nn.Parameter(torch.eye(EMBEDDING_SIZE), requires_grad=False)
        self.pca_means = nn.Parameter(torch.zeros(EMBEDDING_SIZE, 1), requires_grad=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        """(batch, 128) -> (batch, 128), clipped to [-2, 2]."""
        projected = (embeddings - self.pca_means.T) @ self.pca_eigen_vectors.T
        return projected.clamp(-QUANTISED_RANGE, QUANTISED_RANGE)

    def quantised(self, embeddings: Tensor) -> Tensor:
        """The clipped values on a scale of 0 to 255, not yet whole numbers."""
        return torch.as_tensor(self(embeddings) + QUANTISED_RANGE) * (QUANTISED_STEPS / (2 * QUANTISED_RANGE))
