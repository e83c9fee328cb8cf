"""Expressions against transformers' own classes, on a synthetic file of the published layout."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from extract.expert import Frame, Item, MediaInfo, Resources, Scene
from extract.experts.face_emotion import EXPRESSIONS, FILE, FaceEmotion, FaceEmotionModel
from extract.ops.picture.faces import Faces

LAYERS = 2  # of the published 12 equal ones
PUBLISHED = {
    "hidden_size": 768, "num_hidden_layers": LAYERS, "num_attention_heads": 12, "intermediate_size": 3072,
    "image_size": 224, "patch_size": 16, "layer_norm_eps": 1e-12, "hidden_act": "gelu", "qkv_bias": True,
    "id2label": dict(enumerate(EXPRESSIONS)),
}  # fmt: skip
PICTURE = np.random.default_rng(3).integers(0, 256, (180, 320, 3), np.uint8)
BOXES = np.array(
    [[10.4, 20.2, 110.6, 150.4], [200, -5, 330, 90], [0, 0, 20, 20]], np.float32
)  # the second leaves the frame


class Planted:
    """Faces where they are planted: as many as the picture's first value says."""

    def __call__(self, images: Any) -> list[Faces]:
        counts = [int(image[0, 0, 0]) for image in images]
        return [Faces(BOXES[:n], np.ones(n, np.float32), np.zeros((n, 5, 2), np.float32)) for n in counts]


def picture(faces: int) -> Item:
    image = PICTURE.copy()
    image[0, 0, 0] = faces
    return Item(faces, faces + 0.04, {"image": image}, {"scene": faces})


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Their classifier with random weights, and the file that it saves."""
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    model: Any = ViTForImageClassification(ViTConfig(**PUBLISHED)).eval()
    folder = tmp_path_factory.mktemp("weights") / "vit-face-expression"
    model.save_pretrained(folder)
    return SimpleNamespace(model=model, path=folder / "model.safetensors")


@pytest.fixture(scope="module")
def rows(theirs: Any) -> list[list[dict[str, Any]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("extract.nets.vit_encoder.LAYERS", LAYERS)
        patch.setattr("extract.experts.face_emotion.load_finder", lambda options, resources: Planted())
        model = FaceEmotion().load(Resources(weights={"model": theirs.path}))
    assert isinstance(model, FaceEmotionModel)
    return model([picture(n) for n in (3, 0, 1)])


def expected(theirs: Any, boxes: list[tuple[int, int, int, int]]) -> tuple[Any, Any]:
    """What transformers makes of crops: class tokens before the final norm (n, 768) and probabilities."""
    from transformers import ViTImageProcessor

    processor: Any = ViTImageProcessor(
        size={"height": 224, "width": 224}, resample=2, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    crops = [PICTURE[top:bottom, left:right] for left, top, right, bottom in boxes]
    pixels = processor(crops, return_tensors="pt")["pixel_values"]
    seen: list[Any] = []
    hook = theirs.model.vit.layernorm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        logits = theirs.model(pixels).logits
    hook.remove()
    return seen[0][:, 0].numpy(), logits.softmax(-1).numpy()


def test_rows_are_the_mean_of_the_two_largest_faces(theirs: Any, rows: list[list[dict[str, Any]]]) -> None:
    (two,), none, (one,) = rows
    tokens, shares = expected(theirs, [(10, 20, 111, 150), (200, 0, 320, 90)])
    assert none == [] and (two["faces"], one["faces"]) == (2, 1)
    # their processor and Pillow round some pixels differently by one level of 255
    np.testing.assert_allclose(two["embedding"], tokens.mean(0), atol=0.02)
    np.testing.assert_allclose(one["embedding"], tokens[0], atol=0.02)
    assert np.abs(tokens[0] - tokens[1]).max() > 0.1  # or the choice of faces would not matter
    assert two["expression"] == EXPRESSIONS[int(shares[0].argmax())]
    assert two["probability"] == pytest.approx(shares[0].max(), abs=0.01)


def test_the_tap_sends_the_whole_keyframe() -> None:
    media = MediaInfo("x.mp4", 1, "mov", 2.0, has_video=True, has_audio=False)
    scene = Scene(3, 10, 20, 1.0, 2.0, 15, 15, 1.5, 1.6)
    (item,) = FaceEmotion().tap(media).scene(scene, Frame(PICTURE, 15, 1.5, 1.6))
    assert item.arrays["image"].shape == PICTURE.shape and item.columns == {"scene": 3}
    assert [file.role for file in FaceEmotion().weights()] == ["pnet", "rnet", "onet", "model"]
    assert FILE.name in FILE.url.replace("resolve/main/", "")
