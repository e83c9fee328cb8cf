"""Caffe's ResNet against torchvision's with the stride and the pooling moved to where Caffe has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from extract.errors import WeightsError
from extract.nets.caffe_resnet152 import BLOCKS, CaffeResNet152, block_names, from_caffe
from extract.nets.caffe_weights import layer_blobs
from extract.weights.checkpoints import load_strict

SMALL = (2, 1, 4, 1)  # the third stage has more than three blocks, and so the other kind of names


def blobs_of(network: CaffeResNet152, seed: int) -> dict[str, list[np.ndarray]]:
    """Drawn values for every layer, as Caffe keeps them: running sums, and what to divide them by."""
    generator = np.random.default_rng(seed)
    layers: dict[str, list[np.ndarray]] = {}
    for name, module in network.named_children():
        if isinstance(module, nn.BatchNorm2d):
            mean, spread, gain, bias = generator.standard_normal((4, module.num_features), np.float32)
            factor = np.float32(generator.uniform(1, 1000))
            layers[name] = [0.1 * mean * factor, (1 + 0.1 * np.abs(spread)) * factor, factor.reshape(1)]
            scale = "scale_conv1" if name == "bn_conv1" else name.replace("bn", "scale", 1)
            layers[scale] = [0.5 + 0.1 * gain, 0.1 * bias]
        else:
            state = module.state_dict()
            layers[name] = [
                generator.standard_normal(value.shape, np.float32) / np.float32(np.sqrt(value[0].numel()))
                for value in state.values()
            ]
    return layers


def torchvisions(blobs: dict[str, list[np.ndarray]], classes: int) -> Any:
    """The same values in torchvision's class."""
    from torchvision.models.resnet import Bottleneck, ResNet

    theirs = ResNet(Bottleneck, list(SMALL), num_classes=classes)
    theirs.maxpool = nn.MaxPool2d(3, stride=2, padding=0, ceil_mode=True)
    for stage in (theirs.layer2, theirs.layer3, theirs.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)

    def fill(conv: nn.Conv2d, norm: nn.BatchNorm2d, name: str) -> None:
        scale = "scale_conv1" if name == "conv1" else f"scale{name.removeprefix('res')}"
        mean, variance, factor = blobs["bn_conv1" if name == "conv1" else f"bn{name.removeprefix('res')}"]
        pairs = [
            (conv.weight, blobs[name][0]),
            (norm.weight, blobs[scale][0]),
            (norm.bias, blobs[scale][1]),
            (norm.running_mean, mean / factor),
            (norm.running_var, variance / factor),
        ]
        for parameter, value in pairs:
            assert parameter is not None
            parameter.copy_(torch.from_numpy(value))

    with torch.no_grad():
        fill(theirs.conv1, theirs.bn1, "conv1")
        for number, (stage, count) in enumerate(zip(range(2, 6), SMALL, strict=True), start=1):
            blocks = getattr(theirs, f"layer{number}")
            for block, name in zip(blocks, block_names(stage, count), strict=True):
                for branch, part in (("2a", "1"), ("2b", "2"), ("2c", "3")):
                    conv, norm = getattr(block, f"conv{part}"), getattr(block, f"bn{part}")
                    fill(conv, norm, f"res{name}_branch{branch}")
                if block.downsample is not None:
                    fill(block.downsample[0], block.downsample[1], f"res{name}_branch1")
        theirs.fc.weight.copy_(torch.from_numpy(blobs[f"fc{classes}"][0]))
        theirs.fc.bias.copy_(torch.from_numpy(blobs[f"fc{classes}"][1].reshape(-1)))
    return theirs.eval()


def test_a_caffemodel_gives_what_torchvision_gives_with_its_stride_and_pooling_moved(caffemodel: Any) -> None:
    mine = CaffeResNet152(classes=20, blocks=SMALL).eval()
    blobs = blobs_of(mine, seed=3)
    state = from_caffe(layer_blobs(memoryview(caffemodel(blobs))))
    load_strict(mine, state, what="Caffe's ResNet")
    theirs = torchvisions(blobs, classes=20)
    images = torch.from_numpy(
        np.random.default_rng(4).uniform(-120, 150, (2, 3, 224, 224)).astype(np.float32)
    )
    with torch.inference_mode():
        expected = theirs(images)
        theirs.fc = nn.Identity()
        features = theirs(images)
        scale = float(features.abs().max())
        np.testing.assert_allclose(mine(images), features, atol=1e-5 * scale)
        np.testing.assert_allclose(mine.logits(images), expected, atol=1e-5 * float(expected.abs().max()))
        theirs.maxpool = nn.MaxPool2d(3, stride=2, padding=1)  # torchvision's own is another network
        assert float((theirs(images) - features).abs().max()) > 1e-3 * scale


def test_the_names_are_those_of_the_published_prototxt() -> None:
    with torch.device("meta"):
        network = CaffeResNet152(classes=1365)
    names = {name for name, _ in network.named_children()}
    assert {"conv1", "bn_conv1", "fc1365", "res2c_branch2b", "res3b7_branch2a", "bn4b35_branch2c"} <= names
    assert {"res2a_branch1", "bn5a_branch1"} <= names and "res3b_branch2a" not in names
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 1 + 3 * sum(BLOCKS) + 4 and len(names) == 2 * len(convolutions) + 1
    strided = {n for n, m in network.named_children() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)}
    assert strided == {"conv1", *(f"res{stage}a_branch{b}" for stage in (3, 4, 5) for b in ("1", "2a"))}


def test_a_factor_of_nought_stands_for_nought() -> None:
    two = np.ones(2, np.float32)
    state = from_caffe({"bn2a_branch1": [two, two, np.zeros(1, np.float32)]})
    assert state["bn2a_branch1.running_var"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ({"bn_conv1": [np.ones(2, np.float32)] * 2}, "'bn_conv1' is not a batch normalisation"),
        ({"scale_conv1": [np.ones(2, np.float32)]}, "'scale_conv1' has 1 blobs, not 2"),
        ({"conv1": [np.ones(2, np.float32)] * 3}, "'conv1' has 3 blobs, not 2"),
    ],
)
def test_layers_of_another_kind_are_refused(layers: dict[str, list[np.ndarray]], said: str) -> None:
    with pytest.raises(WeightsError, match=said):
        from_caffe(layers)
