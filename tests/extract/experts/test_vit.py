"""ViT-B/16 against the reference vectors and against transformers' own class, both ways."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extract.errors import WeightsError
from extract.expert import Resources
from extract.experts.vit import FILE, REPOSITORY, Vit
from tests.fixtures.half_precision import needs_bfloat16


@pytest.fixture(scope="module")
def checks(picture_checks: Any) -> Iterator[Any]:
    yield picture_checks(Vit(), "vit_b16_in21k", REPOSITORY, "vit_b16")


def test_every_output_agrees_with_the_reference(checks: Any, parity: Any) -> None:
    reference = parity.reference("vit_b16")
    parity.assert_close("vit_b16", "cls", checks.rows[:2], reference["cls"])
    pictures = np.stack([item.arrays["image"] for item in checks.items[:2]])
    pixels = (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        tokens = checks.model.network.tokens(pixels)
        pooled = checks.model.network.pooler(tokens[:, 0]).tanh()
    parity.assert_close("vit_b16", "tokens", tokens[:, 1::28].numpy(), reference["tokens"])
    parity.assert_close("vit_b16", "pooled", pooled.numpy(), reference["pooled"])


def test_rows_do_not_depend_on_the_batch(checks: Any) -> None:
    checks.assert_rows_do_not_depend_on_the_batch()


@needs_bfloat16
def test_half_precision_points_the_same_way(checks: Any) -> None:
    assert checks.half_precision_cosines().min() >= 0.9999


def test_our_weights_give_the_same_in_transformers(checks: Any, parity: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file
    from transformers import ViTModel

    config = parity.rule.load_table(parity.folder / "shapes" / "vit_b16_in21k.json")["config"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(checks.model.network.state_dict(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    theirs: Any = ViTModel.from_pretrained(tmp_path, local_files_only=True)  # in eval mode
    (tmp_path / "model.safetensors").unlink()
    pictures = np.stack([item.arrays["image"] for item in checks.items])
    pixels = (torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        expected = theirs(pixels).last_hidden_state[:, 0].numpy()
    np.testing.assert_allclose(checks.rows, expected, atol=1e-4)


def test_preprocessing_is_the_published_one_bit_for_bit(parity: Any) -> None:
    reference = parity.reference("preprocess")
    for index, (height, width, seed) in enumerate(reference["images"].tolist()):
        crop = Vit().crop(parity.inputs.image(height, width, seed))
        assert zlib.crc32(crop.tobytes()) == reference[f"im{index}_vit_u8_crc32"]


def test_the_network_has_the_published_names_and_shapes(published: Any) -> None:
    with torch.device("meta"):
        state = Vit().build().state_dict()
    assert {k: tuple(v.shape) for k, v in state.items()} == published("vit_b16_in21k")


def test_the_classifiers_file_is_refused(published: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({k: torch.zeros(()).expand(shape) for k, shape in published("vit_b16_224").items()}, path)
    said = (
        r"not the weights of ViT-B/16 \(vit-base-patch16-224-in21k\).*200 missing.*unknown: vit\.embeddings"
    )
    with pytest.raises(WeightsError, match=said):
        Vit().load(Resources(weights={"model": path}))


def test_the_file_is_that_of_the_repository() -> None:
    assert Vit().weights() == (FILE,) and FILE.name in FILE.url.replace("resolve/main/", "")
