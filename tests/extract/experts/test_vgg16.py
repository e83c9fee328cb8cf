"""VGG16 against the reference vectors: layers, 200 frames of a video, posters."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from extract.errors import MediaError, WeightsError
from extract.expert import Resources
from extract.experts._pictures import PictureModel
from extract.experts.vgg16 import EVEN_FRAMES, FILE, Vgg16, Vgg16Options, poster_features
from extract.types import Frame, Item, MediaInfo, Scene
from tests.fixtures.half_precision import needs_bfloat16

WHOLE_BATCHES = True  # of two rows, on one thread, a row's last bits depend on its place

MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, True, False)
LAYERS = {"fc6_pre": 0, "fc6": 1, "fc7_pre": 3, "fc7": 4}  # places in torchvision's classifier


@pytest.fixture(scope="module")
def file(parity: Any) -> Iterator[Path]:
    path = parity.checkpoint("vgg16", FILE.name)
    yield path
    path.unlink()  # 550 MB


@pytest.fixture(scope="module")
def items(parity: Any, keyframe_items: Any) -> list[Item]:
    reference = parity.reference("vgg16")
    prepared = [parity.inputs.image(224, 224, int(s)) for s in reference["image_seeds"]]
    made = [Item(0.0, 1.0, {"image": image}) for image in prepared]
    for height, width, seed in reference["e2e_images"].tolist()[:2]:
        made += keyframe_items(Vgg16(), parity.inputs.image(height, width, seed))
    return made


@pytest.fixture(scope="module")
def model(file: Path) -> Any:
    return Vgg16().load(Resources(weights={"model": file}))


@pytest.fixture(scope="module")
def layers(model: Any, items: list[Item]) -> dict[str, np.ndarray]:
    """What each layer gives for the items, seen by hooks on the way."""
    batches: dict[str, list[np.ndarray]] = {name: [] for name in LAYERS}
    hooks = [
        model.network.classifier[place].register_forward_hook(
            lambda _, __, out, name=name: batches[name].append(out.numpy().copy())
        )
        for name, place in LAYERS.items()
    ]
    rows = [row for (row,) in model(items)]
    for hook in hooks:
        hook.remove()
    seen = {name: np.concatenate(parts) for name, parts in batches.items()}
    np.testing.assert_array_equal(np.stack([row["embedding"] for row in rows]), seen["fc7"])
    return seen


def test_every_layer_agrees_with_the_reference(layers: dict[str, np.ndarray], parity: Any) -> None:
    reference = parity.reference("vgg16")
    for name, values in layers.items():
        parity.assert_close("vgg16", name, values[:2], reference[name])
    parity.assert_close("vgg16", "e2e_fc7", layers["fc7"][2:], reference["e2e_fc7"][:2])


def test_an_option_chooses_the_layer() -> None:
    for name, place in LAYERS.items():
        with torch.device("meta"):
            expert = Vgg16(Vgg16Options(layer=name))  # type: ignore[arg-type]
            network: Any = expert.feature(expert.build())
        assert len(network.classifier) == place + 2 and type(network.classifier[-1]) is torch.nn.Identity


def test_rows_do_not_depend_on_the_batch(
    model: Any, items: list[Item], layers: dict[str, np.ndarray]
) -> None:
    assert model([]) == []
    for order in ([2], [3, 0]):
        mine = np.stack([row["embedding"] for (row,) in model([items[i] for i in order])])
        np.testing.assert_array_equal(mine, layers["fc7"][order])


@needs_bfloat16
def test_half_precision_points_the_same_way(
    model: Any, items: list[Item], layers: dict[str, np.ndarray]
) -> None:
    half = PictureModel(deepcopy(model.network), Resources(precision="bfloat16"), model.normalisation)
    mine = np.stack([row["embedding"] for (row,) in half(items)])
    norms = np.linalg.norm(mine, axis=1) * np.linalg.norm(layers["fc7"], axis=1)
    assert ((mine * layers["fc7"]).sum(axis=1) / norms).min() >= 0.9999


def test_the_network_has_the_published_names_and_shapes(published: Any) -> None:
    with torch.device("meta"):
        state = Vgg16().build().state_dict()
    assert {k: tuple(v.shape) for k, v in state.items()} == published("vgg16")


def test_a_vgg16_with_batch_normalisation_is_refused(tmp_path: Path) -> None:
    from torchvision.models import vgg16_bn

    with torch.device("meta"):
        state = vgg16_bn().state_dict()
    path = tmp_path / FILE.name
    torch.save({name: torch.zeros(()).expand(value.shape) for name, value in state.items()}, path)
    with pytest.raises(WeightsError, match=r"not the weights of VGG16 .*unknown: features\.1\.weight"):
        Vgg16().load(Resources(weights={"model": path}))


@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_preprocessing_is_torchvisions(parity: Any, resize: Any) -> None:
    reference = parity.reference("preprocess")
    pipeline = {"crop": "resnet152_v1", "squash": "vit"}[resize]  # the same two on 8-bit pictures
    for index, (height, width, seed) in enumerate(reference["images"].tolist()):
        crop = Vgg16(Vgg16Options(resize=resize)).crop(parity.inputs.image(height, width, seed))
        assert zlib.crc32(crop.tobytes()) == reference[f"im{index}_{pipeline}_u8_crc32"]


def frame(index: int) -> Frame:
    image = np.full((30, 40, 3), index % 251, np.uint8)
    return Frame(image, index, 5 + index / 25, 5 + (index + 1) / 25)


def even_items(frames: int, scenes: list[Scene]) -> list[Item]:
    expert = Vgg16(Vgg16Options(frames="even"))
    assert not expert.streams().keyframes and expert.streams().frames is not None
    tap = expert.tap(MEDIA)
    for index in range(frames):
        assert not list(tap.frame(frame(index)))
        for scene in scenes:
            if scene.end_frame == index:
                assert not list(tap.scene(scene, None))
    return list(tap.close())


def scene(number: int, start: int, end: int) -> Scene:
    return Scene(number, start, end, 5 + start / 25, 5 + end / 25, start, start, 5 + start / 25, 5 + end / 25)


def test_two_hundred_frames_are_spread_over_the_video() -> None:
    items = even_items(1010, [scene(0, 0, 400), scene(1, 420, 1009)])
    assert len(items) == EVEN_FRAMES
    indices = np.array([round((item.start_seconds - 5) * 25) for item in items])
    ideal = (np.arange(EVEN_FRAMES) + 0.5) * 1010 / EVEN_FRAMES
    assert np.abs(indices - ideal).max() <= 1010 / EVEN_FRAMES
    for index, item in zip(indices.tolist(), items, strict=True):
        assert item.arrays["image"].shape == (224, 224, 3) and (item.arrays["image"] == index % 251).all()
        assert item.end_seconds == pytest.approx(5 + (index + 1) / 25)
        between = 400 <= index < 420 or index >= 1009
        assert item.columns["scene"] == (None if between else int(index >= 420))


def test_a_short_video_gives_all_its_frames_and_an_empty_one_none() -> None:
    items = even_items(7, [scene(0, 0, 6)])
    assert [round((item.start_seconds - 5) * 25) for item in items] == list(range(7))
    assert even_items(0, []) == []


def test_posters_are_seen_upright_and_only_with_the_published_weights(
    file: Path, parity: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARQUEE_CACHE", str(tmp_path / "cache"))
    reference = parity.reference("vgg16")
    height, width, seed = reference["e2e_images"][2].tolist()
    image = Image.fromarray(parity.inputs.image(height, width, seed))
    lying = image.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    image.save(tmp_path / "poster.png")
    lying.save(tmp_path / "lying.png", exif=exif)
    posters = [tmp_path / "poster.png", tmp_path / "lying.png"]
    with pytest.raises(WeightsError, match=r"not the published vgg16-397923af.pth"):
        poster_features(posters, weights=file.parent, device="cpu")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (file.parent / "SHA256SUMS").write_text(f"{digest}  {file.name}\n")
    mine = poster_features(posters, weights=file.parent, device="cpu")
    parity.assert_close("vgg16", "e2e_fc7", mine, reference["e2e_fc7"][[2, 2]])
    assert poster_features([], weights=file.parent).shape == (0, 4096)


def test_what_is_no_picture_is_said(tmp_path: Path) -> None:
    (tmp_path / "poster.png").write_text("none")
    for name in ("poster.png", "missing.png"):
        with pytest.raises(MediaError, match=rf"{name}' cannot be read as a picture"):
            poster_features([tmp_path / name], random_seed=0)


@pytest.mark.parametrize("option", ["frames", "resize", "layer"])
def test_options_say_what_is_allowed(option: str) -> None:
    none: dict[str, Any] = {option: "none"}
    with pytest.raises(ValueError, match=rf"{option} is 'none'; allowed: \w+, "):
        Vgg16Options(**none)
