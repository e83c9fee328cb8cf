"""ResNet-152 as Caffe has it (He et al. 2016), with the layer names of the published prototxt.

github.com/CSAILVision/places365, deploy_resnet152_{places365,hybrid1365}.prototxt. What differs
from torchvision's network of the same size: the first 1x1 convolution of a stage has the stride,
not the 3x3 one; the first max-pool has no padding and rounds its size up. Caffe keeps the running
statistics of a normalisation in one layer ("bn...") and its gain and bias in the next ("scale..."):
here they are one module under the name of the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from extract.errors import WeightsError

BLOCKS = (3, 8, 36, 3)
WIDTHS = (64, 128, 256, 512)
EXPANSION = 4
FEATURES = WIDTHS[-1] * EXPANSION


def block_names(stage: int, count: int) -> list[str]:
    """Caffe's names of a stage's blocks: 2a, 2b, 2c, but 3a, 3b1, 3b2, ... where there are more."""
    if count <= 3:
        return [f"{stage}{letter}" for letter in "abc"[:count]]
    return [f"{stage}a", *(f"{stage}b{i}" for i in range(1, count))]


class CaffeResNet152(nn.Module):
    """``classes`` is 365 for Places365, 1365 for ImageNet and Places365 together.

    ``blocks`` is the number of blocks in each stage (fewer make a small network for tests).
    """

    def __init__(self, *, classes: int, blocks: Sequence[int] = BLOCKS) -> None:
        super().__init__()
        self.classifier = f"fc{classes}"
        self.stages = [block_names(stage, count) for stage, count in enumerate(blocks, start=2)]
        self._add("conv1", "bn_conv1", 3, WIDTHS[0], kernel=7, stride=2)
        channels = WIDTHS[0]
        for stage, (names, width) in enumerate(zip(self.stages, WIDTHS, strict=True)):
            for position, name in enumerate(names):
                stride = 2 if stage and not position else 1
                if not position:
                    self._branch(name, "1", channels, width * EXPANSION, stride=stride)
                self._branch(name, "2a", channels, width, stride=stride)
                self._branch(name, "2b", width, width, kernel=3)
                self._branch(name, "2c", width, width * EXPANSION)
                channels = width * EXPANSION
        self.add_module(self.classifier, nn.Linear(FEATURES, classes))

    def _branch(
        self, block: str, branch: str, inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1
    ) -> None:
        self._add(f"res{block}_branch{branch}", f"bn{block}_branch{branch}", inputs, outputs, kernel, stride)

    def _add(self, conv: str, norm: str, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        self.add_module(
            conv, nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
        )
        self.add_module(norm, nn.BatchNorm2d(outputs, eps=1e-5))

    def _run(self, block: str, branch: str, maps: Tensor) -> Tensor:
        conv, norm = self.get_submodule(f"res{block}_branch{branch}"), f"bn{block}_branch{branch}"
        result: Tensor = self.get_submodule(norm)(conv(maps))
        return result

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 3, 224, 224), B, G, R from 0 to 255 less their means -> ``pool5`` (batch, 2048)."""
        maps = F.relu(self.get_submodule("bn_conv1")(self.get_submodule("conv1")(images)))
        maps = F.max_pool2d(maps, 3, stride=2, ceil_mode=True)
        for names in self.stages:
            for position, name in enumerate(names):
                shortcut = maps if position else self._run(name, "1", maps)
                inner = F.relu(self._run(name, "2a", maps))
                inner = F.relu(self._run(name, "2b", inner))
                maps = F.relu(shortcut + self._run(name, "2c", inner))
        return maps.mean(dim=(2, 3))

    def logits(self, images: Tensor) -> Tensor:
        """The same input -> the class scores before the softmax (batch, classes)."""
        result: Tensor = self.get_submodule(self.classifier)(self(images))
        return result


def from_caffe(blobs: Mapping[str, Sequence[NDArray[np.float32]]]) -> dict[str, Tensor]:
    """A .caffemodel's blobs by layer -> tensors under the names of :class:`CaffeResNet152`.

    Caffe's running mean and variance are sums: their third blob is what to divide them by
    (batch_norm_layer.cpp; 0 stands for 0). Layers that this network does not have keep their names.
    """
    state: dict[str, Tensor] = {}
    for layer, given in blobs.items():
        if layer.startswith("scale"):
            norm = "bn_conv1" if layer == "scale_conv1" else f"bn{layer.removeprefix('scale')}"
            _name(state, layer, given, (f"{norm}.weight", f"{norm}.bias"))
        elif layer.startswith("bn"):
            _name(state, layer, _averaged(layer, given), (f"{layer}.running_mean", f"{layer}.running_var"))
        else:
            _name(state, layer, given, (f"{layer}.weight", f"{layer}.bias")[: len(given)])
    return state


def _averaged(layer: str, given: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    if len(given) != 3 or given[2].size != 1:
        raise WeightsError(f"layer {layer!r} is not a batch normalisation of Caffe: {len(given)} blobs")
    total = float(given[2].reshape(-1)[0])
    factor = np.float32(1 / total if total else 0)
    return [np.asarray(values * factor, np.float32) for values in given[:2]]


def _name(
    state: dict[str, Tensor], layer: str, given: Sequence[NDArray[np.float32]], names: Sequence[str]
) -> None:
    if len(given) != len(names):
        raise WeightsError(f"layer {layer!r} has {len(given)} blobs, not {len(names)}")
    state.update((name, torch.from_numpy(np.array(value))) for name, value in zip(names, given, strict=True))
