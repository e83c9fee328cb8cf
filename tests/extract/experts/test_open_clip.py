"""Models of open_clip by name, against open_clip itself with the same published files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extract.errors import MissingDependency, UsageError, WeightsError
from extract.expert import Resources
from extract.experts._open_clip import VIT_B_32, published_model, text_encoder, weight_file
from extract.experts.clip import Clip, ClipOptions
from extract.registry import make_expert
from extract.selection import ExtractConfig, select
from extract.types import Frame, MediaInfo, Scene
from extract.weights.files import MissingWeights
from tests.fixtures.open_clip_models import CLIP_NAME, SIGLIP_NAME, Registered, registered

MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, True, False)
TEXTS = ["a car chase at night", "Two people kiss!", "", "the sea " * 40]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Registered]]:
    with registered(tmp_path_factory.mktemp("open_clip")) as found:
        yield found


@pytest.mark.parametrize("name", [CLIP_NAME, SIGLIP_NAME])
def test_both_towers_are_open_clips(name: str, models: dict[str, Registered]) -> None:
    from PIL import Image

    theirs = models[name]
    chosen = select(
        ExtractConfig(
            experts=("clip",),
            options={"clip": {"model": name}, "scenes": {"detector": "content"}},
            weights=theirs.folder,
            download=False,
            device="cpu",
        )
    )
    expert: Any = chosen.experts["clip"]
    assert expert.model.name == theirs.name  # with the GELU of its file
    assert chosen.described["clip"]["tables"]["clip"]["embedding"] == [
        theirs.model.encode_text(theirs.tokenizer(["a"])).shape[1]
    ]
    files = {role: found.path for role, found in chosen.weights["clip"].items()}
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (90, 160, 3), np.uint8) for _ in range(2)]
    tap = make_expert("clip", chosen.options["clip"]).tap(MEDIA)  # as the decoder's process makes it
    items = [
        item
        for i, picture in enumerate(pictures)
        for item in tap.scene(Scene(i, i, i + 1, i, i + 1.0, i, 0, i, i + 1.0), Frame(picture, i, i, i + 1.0))
    ]
    rows = expert.load(Resources(weights=files))(items)
    with torch.inference_mode():
        pixels = torch.stack([theirs.transform(Image.fromarray(picture)) for picture in pictures])
        images = theirs.model.encode_image(pixels).numpy()
        texts = theirs.model.encode_text(theirs.tokenizer(TEXTS)).numpy()
    np.testing.assert_allclose([row["embedding"] for (row,) in rows], images, rtol=1e-4, atol=1e-5)
    mine = text_encoder(expert.model, Resources(weights=files))
    np.testing.assert_allclose(mine(TEXTS), texts, rtol=1e-4, atol=1e-5)
    assert mine([]).shape == (0, expert.model.dimension)


def test_each_model_has_its_own_fingerprint_and_the_default_keeps_its(models: dict[str, Registered]) -> None:
    asked = [{}, {"model": CLIP_NAME}, {"model": SIGLIP_NAME}, {"model": SIGLIP_NAME, "resize": "longer"}]
    found = [
        select(ExtractConfig(experts=("clip",), options={"clip": each}, random_seed=0)).fingerprints["clip"]
        for each in asked
    ]
    assert len(set(found)) == len(asked)
    for name in ("ViT-B-32:openai", "ViT-B-32-quickgelu:openai"):
        assert Clip(ClipOptions(model=name)).settings() == {"version": 1, "resize": "shorter"}
    settings = Clip(ClipOptions(model=SIGLIP_NAME)).settings()
    assert settings["model"] == f"{SIGLIP_NAME}:webli" and settings["resize"] == "squash"
    assert "zhai2023siglip" in Clip(ClipOptions(model="ViT-B-16-SigLIP")).references()


def test_names_files_and_packages_that_are_not_there(
    models: dict[str, Registered], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert published_model("ViT-B-32-quickgelu:openai") == VIT_B_32
    with pytest.raises(UsageError, match=r"'ViT-L14'; open_clip has no.*did you mean 'ViT-L-14'"):
        published_model("ViT-L14")
    with pytest.raises(UsageError, match=r"published as openai, laion400m_e31.*as in ViT-L-14:openai"):
        published_model("ViT-L-14")
    with pytest.raises(UsageError, match=r"clip.model is 'local-dir:/x'; allowed: a model of open_clip"):
        make_expert("clip", {"model": "local-dir:/x"})
    with pytest.raises(UsageError, match=r"no published model of that name"):
        make_expert("clip", {"model": "local-dir:x"}).check_installed()
    openai = weight_file(published_model("ViT-L-14:openai"))
    assert openai.sha256 == "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"
    assert openai.name == "ViT-L-14.pt" and openai.sha256 in openai.url
    assert "vit_large_patch14_clip_224.openai/open_clip_model.safetensors" in {
        other.name for other in openai.alternatives
    }
    options = {"clip": {"model": SIGLIP_NAME}, "scenes": {"detector": "content"}}
    config = ExtractConfig(experts=("clip",), options=options, weights=tmp_path, download=False)
    with pytest.raises(
        MissingWeights, match=r"clip: tiny-siglip/open_clip_model.safetensors[^!]*get it from "
    ):
        select(config)
    other = models[CLIP_NAME].folder / "tiny-clip" / "open_clip_model.safetensors"
    siglip: Any = make_expert("clip", options["clip"])
    with pytest.raises(WeightsError, match=r"not the weights of ViT-tiny-16-SigLIP2:webli \(image tower\)"):
        siglip.load(Resources(weights={"model": other}))
    monkeypatch.setitem(sys.modules, "open_clip", None)
    published_model.cache_clear()
    with pytest.raises(
        MissingDependency, match=r"needs open_clip, not installed here: pip install .*meaning"
    ):
        siglip.check_installed()
