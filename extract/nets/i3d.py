"""Inflated 3D ConvNet, with the module names of github.com/piergiaj/pytorch-i3d.

Carreira and Zisserman 2017, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset",
figure 3; original: github.com/google-deepmind/kinetics-i3d (Sonnet, TensorFlow). Both rules that files
cannot tell are those of the original: batch normalisation adds 1e-3 to the variance, and padding
is TensorFlow's SAME, computed from the size that comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH_NORM_EPS = 1e-3
CLASSES = 400  # of Kinetics
FEATURES = 1024
SHORTEST_CLIP = 9  # frames: of fewer, one step in time is left for a pooling over two

# Of each Mixed block: channels in, then of b0, b1a, b1b, b2a, b2b, b3b.
MIXED = {
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}

# From the names of hassony2/kinetics_i3d_pytorch, which video_features uses too, to ours.
RENAMED = (
    (r"^conv3d_0c_1x1\.", "logits."),
    (r"^conv3d_", "Conv3d_"),
    (r"^mixed_", "Mixed_"),
    (r"\.batch3d\.", ".bn."),
    (r"\.branch_0\.", ".b0."),
    (r"\.branch_1\.0\.", ".b1a."),
    (r"\.branch_1\.1\.", ".b1b."),
    (r"\.branch_2\.0\.", ".b2a."),
    (r"\.branch_2\.1\.", ".b2b."),
    (r"\.branch_3\.1\.", ".b3b."),
)


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names of this module, from either of the two published layouts."""
    renamed = {}
    for key, value in state.items():
        for pattern, name in RENAMED:
            key = re.sub(pattern, name, key)
        renamed[key] = value
    return renamed


def pad_same(maps: Tensor, kernel: int | tuple[int, int, int], stride: int | tuple[int, int, int]) -> Tensor:
    """(batch, channels, time, height, width) with zeros around, as TensorFlow's SAME: more behind."""
    kernels = (kernel,) * 3 if isinstance(kernel, int) else kernel
    strides = (stride,) * 3 if isinstance(stride, int) else stride
    padding: list[int] = []
    for size, k, s in zip(maps.shape[2:], kernels, strides, strict=True):
        missing = max(k - (size % s or s), 0)
        padding = [missing // 2, missing - missing // 2, *padding]  # torch wants the last axis first
    return F.pad(maps, padding) if any(padding) else maps


class Unit(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, eps: float) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=eps)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv3d(pad_same(maps, self.kernel, self.stride))))


class Head(nn.Module):
    """The classifier's 1x1x1 convolution, under the published name ``logits.conv3d``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(FEATURES, CLASSES, 1)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.as_tensor(self.conv3d(maps))


class Mixed(nn.Module):
    """An Inception block: four branches side by side."""

    def __init__(self, channels: tuple[int, ...], *, eps: float) -> None:
        super().__init__()
        inputs, b0, b1a, b1b, b2a, b2b, b3b = channels
        self.b0 = Unit(inputs, b0, eps=eps)
        self.b1a = Unit(inputs, b1a, eps=eps)
        self.b1b = Unit(b1a, b1b, 3, eps=eps)
        self.b2a = Unit(inputs, b2a, eps=eps)
        self.b2b = Unit(b2a, b2b, 3, eps=eps)
        self.b3b = Unit(inputs, b3b, eps=eps)

    def forward(self, maps: Tensor) -> Tensor:
        pooled = max_pool_same(maps, 3, 1)
        branches = self.b0(maps), self.b1b(self.b1a(maps)), self.b2b(self.b2a(maps)), self.b3b(pooled)
        return torch.cat(branches, dim=1)


def max_pool_same(
    maps: Tensor, kernel: int | tuple[int, int, int], stride: int | tuple[int, int, int]
) -> Tensor:
    """What comes is behind a ReLU, so padding with zeros is padding with nothing."""
    return F.max_pool3d(pad_same(maps, kernel, stride), kernel, stride)


class InceptionI3d(nn.Module):
    """The network of one modality: ``channels`` 3 for RGB, 2 for flow.

    ``eps`` 1e-5 is what hassony2/kinetics_i3d_pytorch and video_features compute.
    """

    def __init__(self, channels: int, *, eps: float = BATCH_NORM_EPS) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(channels, 64, 7, 2, eps=eps)
        self.Conv3d_2b_1x1 = Unit(64, 64, eps=eps)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3, eps=eps)
        for name, widths in MIXED.items():
            self.add_module(f"Mixed_{name}", Mixed(widths, eps=eps))
        self.logits = Head()

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features, their cells in time, and logits.

        ``clips`` (batch, channels, time, 224, 224) in [-1, 1]. Features (batch, 1024) are the mean over
        time of the cells (batch, cells, 1024), which are Mixed_5c averaged over two steps in time and the
        whole picture (2 x 7 x 7): ceil(time / 8) - 1 of them. Logits (batch, 400) are the mean over time too.
        """
        maps = self._mixed_5c(clips).float()  # CPUs pool nothing in half precision
        cells = F.avg_pool3d(maps, (2, *maps.shape[-2:]), stride=1)
        logits = self.logits(cells.to(clips.dtype)).flatten(2).mean(dim=2)
        cells = cells.flatten(2).transpose(1, 2)
        return cells.mean(dim=1), cells, logits

    def _mixed_5c(self, clips: Tensor) -> Tensor:
        maps = max_pool_same(self.Conv3d_1a_7x7(clips), (1, 3, 3), (1, 2, 2))
        maps = self.Conv3d_2c_3x3(self.Conv3d_2b_1x1(maps))
        maps = max_pool_same(maps, (1, 3, 3), (1, 2, 2))
        for stage, following in pairwise([*MIXED, ""]):
            maps = getattr(self, f"Mixed_{stage}")(maps)
            if following and following[0] != stage[0]:
                size = 3 if following[0] == "4" else 2
                maps = max_pool_same(maps, size, 2)
        return maps


def batch_norms(network: nn.Module) -> Iterator[nn.BatchNorm3d]:
    return (module for module in network.modules() if isinstance(module, nn.BatchNorm3d))
