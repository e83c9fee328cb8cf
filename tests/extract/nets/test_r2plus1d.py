"""R(2+1)D against the reference vectors, and torchvision's shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from extract.nets.r2plus1d import CAFFE2_EPS, other_layout, r2plus1d_34, r2plus1d_kinetics_18


def shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {k: tuple(v.shape) for k, v in network.state_dict().items()}


@pytest.fixture(scope="module")
def deep() -> Any:
    return r2plus1d_34(359)


@pytest.fixture(scope="module")
def shallow() -> Any:
    return r2plus1d_kinetics_18()


def test_the_state_dicts_are_the_published_ones(parity: Any, deep: Any, shallow: Any) -> None:
    for name, network in (("r2plus1d_34_ig65m", deep), ("r2plus1d_18", shallow)):
        table = parity.rule.load_table(parity.folder / "shapes" / f"{name}.json")
        assert shapes(network) == {k: tuple(v) for k, v in table["keys"].items()}


def test_batch_normalisation_adds_what_the_training_added(deep: Any, shallow: Any) -> None:
    """No file holds this, so no file can be refused for it."""
    for network, eps in ((deep, 1e-3), (shallow, 1e-5)):
        found = {m.eps for m in network.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)}
        assert found == {eps}
    assert CAFFE2_EPS == 1e-3


def test_similar_networks_are_told_apart(deep: Any, shallow: Any) -> None:
    from torchvision.models.video import VideoResNet
    from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D, R2Plus1dStem

    with torch.device("meta"):
        stock = VideoResNet(BasicBlock, [Conv2Plus1D] * 4, [3, 4, 6, 3], R2Plus1dStem).state_dict()
    assert other_layout(deep.state_dict(), layers=34) is None
    assert other_layout(shallow.state_dict(), layers=18) is None
    assert "of 18 layers" in str(other_layout(shallow.state_dict(), layers=34))
    assert "of 34 layers" in str(other_layout(deep.state_dict(), layers=18))
    assert "torchvision's own shapes (230" in str(other_layout(stock, layers=34))
    assert other_layout({"conv1.weight": torch.zeros(1)}, layers=34) is None


def test_the_classifier_is_the_only_difference_between_the_files() -> None:
    with torch.device("meta"):
        networks = [shapes(r2plus1d_34(classes)) for classes in (359, 400)]
    different = {k for k in networks[0] if networks[0][k] != networks[1][k]}
    assert different == {"fc.weight", "fc.bias"} and np.ndim(networks[1]["fc.bias"]) == 1
