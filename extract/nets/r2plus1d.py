"""R(2+1)D networks: torchvision's 18 layers, and the 34 layers that were trained on IG-65M.

Tran et al. 2018, "A Closer Look at Spatiotemporal Convolutions for Action Recognition"; Ghadiyaram,
Tran and Mahajan 2019, "Large-scale weakly-supervised pre-training for video action recognition".
The 34-layer files were converted from Caffe2 by github.com/moabitcoin/ig65m-pytorch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.video import VideoResNet, r2plus1d_18
from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D, R2Plus1dStem

FEATURES = 512
CAFFE2_EPS = 1e-3  # torch's default, 1e-5, loads without a word and gives other values
# Channels of the stages whose first block differs: Caffe2 computes the number of channels between a block's
# spatial and temporal convolution from what comes into the convolution, torchvision from what comes
# into the block, which in the first block of a stage is half as wide.
WIDENED = {"layer2": (128, 288), "layer3": (256, 576), "layer4": (512, 1152)}


def r2plus1d_34(classes: int) -> VideoResNet:
    """The network of the IG-65M files; ``classes`` 359 or 487 hashtags, or Kinetics' 400."""
    stages: Any = [Conv2Plus1D] * 4
    network = VideoResNet(BasicBlock, stages, [3, 4, 6, 3], R2Plus1dStem, num_classes=classes)
    for stage, (channels, between) in WIDENED.items():
        getattr(network, stage)[0].conv2[0] = Conv2Plus1D(channels, channels, between)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.eps = CAFFE2_EPS
    return network


def r2plus1d_kinetics_18() -> VideoResNet:
    """The network as torchvision has it, without weights; its batch normalisation adds torch's 1e-5."""
    network: VideoResNet = r2plus1d_18(weights=None)
    return network


def features(network: VideoResNet, clips: Tensor) -> Tensor:
    """(batch, 3, time, height, width), normalised -> (batch, 512): the mean of layer4 over all three."""
    maps = network.stem(clips)
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        maps = stage(maps)
    return torch.as_tensor(network.avgpool(maps).flatten(1))


def other_layout(state: dict[str, Tensor], *, layers: int) -> str | None:
    """What a file of a similar network is, if it is not the one with so many layers."""
    deep = "layer1.2.conv1.0.0.weight" in state
    if "stem.0.weight" not in state:
        return None
    if deep != (layers == 34):
        return f"an R(2+1)D of {34 if deep else 18} layers"
    middle = state.get("layer2.0.conv2.0.0.weight")
    if layers == 34 and middle is not None and middle.shape[0] != WIDENED["layer2"][1]:
        return (
            f"a 34-layer R(2+1)D in torchvision's own shapes ({middle.shape[0]} channels between the "
            f"convolutions of layer2.0.conv2), not as IG-65M was trained ({WIDENED['layer2'][1]})"
        )
    return None
