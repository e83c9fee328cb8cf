"""ResNet-152 against the reference vectors; crops; the Caffe files of Places365."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extract.errors import WeightsError
from extract.expert import Resources
from extract.experts._classes import imagenet
from extract.experts.resnet152 import FILES, Resnet152, Resnet152Options
from extract.types import Item
from tests.fixtures.half_precision import needs_bfloat16

WHOLE_BATCHES = True  # of two rows, on one thread, a row's last bits depend on its place

HYBRID = Resnet152Options(weights="hybrid1365")


@pytest.fixture(scope="module")
def checks(picture_checks: Any) -> Iterator[Any]:
    yield picture_checks(
        Resnet152(Resnet152Options(classes=3)), "resnet152", FILES["imagenet_v1"].name, "resnet152"
    )


def test_features_agree_with_the_reference(checks: Any, parity: Any) -> None:
    reference = parity.reference("resnet152")
    parity.assert_close("resnet152", "features", checks.rows[:2], reference["features"])
    parity.assert_close("resnet152", "logits", checks.logits()[:, ::8], reference["logits"])
    parity.assert_close("resnet152", "e2e_features", checks.rows[2:], reference["e2e_features"][:2])


def test_classes_are_those_of_the_published_head(checks: Any) -> None:
    checks.assert_classes_are_those_of_the_logits(imagenet())


def test_rows_do_not_depend_on_the_batch(checks: Any) -> None:
    checks.assert_rows_do_not_depend_on_the_batch()


@needs_bfloat16
def test_half_precision_points_the_same_way(checks: Any) -> None:
    assert checks.half_precision_cosines().min() >= 0.9999


@pytest.mark.parametrize(("weights", "pipeline"), [("imagenet_v1", "v1"), ("imagenet_v2", "v2")])
def test_preprocessing_is_torchvisions_bit_for_bit(parity: Any, weights: Any, pipeline: str) -> None:
    reference = parity.reference("preprocess")
    expert = Resnet152(Resnet152Options(weights=weights))
    for index, (height, width, seed) in enumerate(reference["images"].tolist()):
        ((crop, columns),) = expert.views(parity.inputs.image(height, width, seed))
        assert zlib.crc32(crop.tobytes()) == reference[f"im{index}_resnet152_{pipeline}_u8_crc32"]
        assert columns == {"crop": 4}


def test_ten_crops_are_rows_in_torchvisions_order(parity: Any, keyframe_items: Any) -> None:
    reference = parity.reference("preprocess")
    expert = Resnet152(Resnet152Options(crops="ten"))
    for index, (height, width, seed) in enumerate(reference["images"].tolist()):
        items: list[Item] = keyframe_items(expert, parity.inputs.image(height, width, seed))
        sums = [zlib.crc32(item.arrays["image"].tobytes()) for item in items]
        assert sums == reference[f"im{index}_tencrop_u8_crc32"].tolist()
        assert [item.columns for item in items] == [{"scene": 3, "crop": place} for place in range(10)]
        assert {(item.start_seconds, item.end_seconds) for item in items} == {(0.8, 0.84)}


def test_the_caffe_networks_see_the_squeezed_picture(parity: Any) -> None:
    reference = parity.reference("preprocess")
    height, width, seed = reference["images"][0].tolist()
    ((crop, _),) = Resnet152(HYBRID).views(parity.inputs.image(height, width, seed))
    assert zlib.crc32(crop.tobytes()) == reference["im0_places365_u8_crc32"]


def test_the_network_has_the_published_names_and_shapes(published: Any) -> None:
    with torch.device("meta"):
        state = Resnet152().build().state_dict()
    mine = {k: tuple(v.shape) for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert mine == published("resnet152") and len(state) == 932  # as many as the V2 file has


@pytest.fixture(scope="module")
def hybrid_file(caffemodel: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Every layer of the published prototxt: gains of 1/2, variances of 2 as sums of 4, drawn weights."""
    with torch.device("meta"):
        network = Resnet152(HYBRID).build()
    generator = np.random.default_rng(0)
    layers: dict[str, list[np.ndarray]] = {}
    for name, module in network.named_children():
        if isinstance(module, torch.nn.BatchNorm2d):
            ones = np.ones(module.num_features, np.float32)
            layers[name] = [ones * 0, ones * 8, ones[:1] * 4]
            scale = "scale_conv1" if name == "bn_conv1" else name.replace("bn", "scale", 1)
            layers[scale] = [ones / 2, ones / 100]
        else:
            state = module.state_dict()
            layers[name] = [
                generator.standard_normal(value.shape, np.float32) / np.float32(np.sqrt(value[0].numel()))
                for value in state.values()
            ]
    path = tmp_path_factory.mktemp("caffe") / FILES["hybrid1365"].name
    path.write_bytes(caffemodel(layers))
    yield path
    path.unlink()  # 240 MB


def test_a_caffemodel_loads_and_sees_b_g_r_less_the_mean(hybrid_file: Path) -> None:
    model: Any = Resnet152(HYBRID).load(Resources(weights={"model": hybrid_file}))
    norm = model.network.bn4b35_branch2c
    assert norm.running_var[0].item() == 2 and norm.weight[0].item() == 0.5
    seen: list[torch.Tensor] = []

    class Seen(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            seen.append(pixels)
            return pixels.mean(dim=(2, 3))

    model.network = Seen()
    image = np.full((224, 224, 3), (10, 20, 30), np.uint8)
    model([Item(0.0, 1.0, {"image": image})])
    np.testing.assert_allclose(seen[0][0, :, 5, 7], [30 - 104.051, 20 - 112.514, 10 - 116.676], rtol=1e-6)


def test_files_of_other_networks_are_refused(hybrid_file: Path, published: Any, tmp_path: Path) -> None:
    def load(weights: Any, path: Path) -> None:
        Resnet152(Resnet152Options(weights=weights)).load(Resources(weights={"model": path}))

    places = r"\(places365, Caffe\); 2 missing: fc365.weight, fc365.bias; 2 unknown: fc1365"
    with pytest.raises(WeightsError, match=places):
        load("places365", hybrid_file)
    with pytest.raises(WeightsError, match="does not start like any checkpoint format"):
        load("imagenet_v1", hybrid_file)
    with pytest.raises(WeightsError, match=rf"{hybrid_file.name}: not a .caffemodel, or a truncated one"):
        short = tmp_path / hybrid_file.name
        short.write_bytes(hybrid_file.read_bytes()[:100_000_000])
        load("hybrid1365", short)
    torchvision = tmp_path / "resnet152-394f9c45.pth"
    shapes = published("resnet152")
    torch.save({name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}, torchvision)
    with pytest.raises(WeightsError, match=r"\.pth: not a \.caffemodel"):
        load("hybrid1365", torchvision)
    (tmp_path / "empty").touch()
    with pytest.raises(WeightsError, match="empty"):
        load("hybrid1365", tmp_path / "empty")
    short_one = {name: shape for name, shape in shapes.items() if "layer3.35" not in name}
    torch.save({name: torch.zeros(()).expand(shape) for name, shape in short_one.items()}, torchvision)
    with pytest.raises(WeightsError, match=r"\(imagenet_v1, torchvision\); 15 missing: layer3\.35\.conv1"):
        load("imagenet_v1", torchvision)


def test_options_and_files() -> None:
    with pytest.raises(
        ValueError, match=r"weights is 'imagenet'; allowed: imagenet_v1, imagenet_v2, places365"
    ):
        Resnet152Options(weights="imagenet")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"crops is 'five'; allowed: centre, ten"):
        Resnet152Options(crops="five")  # type: ignore[arg-type]
    for weights, file in FILES.items():
        assert Resnet152(Resnet152Options(weights=weights)).weights() == (file,)
        assert file.url.endswith(file.name)
        assert file.sha256 is None or file.name == f"resnet152-{file.sha256}.pth"
