"""Texts and pictures in the space of the stored rows, against open_clip with the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from extract.errors import MediaError, UsageError, WeightsError
from extract.nets import clip_tower
from extract.weights.hashing import sha256_of
from pipeline.search.meaning import Meaning
from pipeline.search.search import Searches, run_searches
from pipeline.store.layout import Store
from tests.pipeline.about.conftest import write_tables
from tests.pipeline.conftest import Kit

pytestmark = pytest.mark.slow
ARCHITECTURE = "ViT-B-32-quickgelu"
LAYERS = 2  # of each tower, to save time: the published ones have twelve
TEXTS = ("a car chase at night", "two people kiss")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """open_clip's model with drawn weights, and the folder that has them in its published file."""
    open_clip = pytest.importorskip("open_clip", reason="needs open_clip: pip install open-clip-torch")
    from safetensors.torch import save_file

    configuration = open_clip.get_model_config(ARCHITECTURE)
    for tower in ("vision_cfg", "text_cfg"):
        configuration[tower]["layers"] = LAYERS
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(open_clip.factory._MODEL_CONFIGS, ARCHITECTURE, configuration)
        patch.setattr(clip_tower, "LAYERS", LAYERS)
        model = open_clip.create_model(ARCHITECTURE).eval()
        folder = tmp_path_factory.mktemp("weights")
        path = folder / "open_clip_model.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
        yield open_clip, model, folder
    path.unlink()  # 190 MB


def store_of(kit: Kit, vectors: np.ndarray, **how: Any) -> Store:
    kit.add("a.mp4")
    store = kit.store()
    kit.plan()
    rows = [
        {"start_seconds": float(i), "end_seconds": i + 1.0, "scene": i, "embedding": vector}
        for i, vector in enumerate(vectors)
    ]
    kit.record(store, write_tables(store, "clip", {}, {"clip": {"a": rows}}, **how))
    return store


def test_texts_and_pictures_are_as_open_clip_has_them(kit: Kit, published: Any, tmp_path: Path) -> None:
    open_clip, model, folder = published
    tokens = open_clip.get_tokenizer(ARCHITECTURE)(list(TEXTS))
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "still.png")
    transform = open_clip.image_transform(
        224, is_train=False, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD
    )
    with torch.inference_mode():
        texts = model.encode_text(tokens).numpy()
        pictures = model.encode_image(transform(Image.fromarray(picture))[None]).numpy()
    rows = np.concatenate([texts, pictures])
    store = store_of(kit, rows, sha256=sha256_of(folder / "open_clip_model.safetensors"))
    towers = Meaning(store, folder, device="cpu", download=False)
    np.testing.assert_allclose(towers.of_texts(TEXTS), texts, atol=1e-5)
    np.testing.assert_allclose(towers.of_pictures([tmp_path / "still.png"]), pictures, atol=1e-4)

    asked = Searches(meaning=TEXTS, images=(tmp_path / "still.png",))
    answers = run_searches(store, asked, most=1, weights=folder, device="cpu")
    assert [answer.hits[0].start_seconds for answer in answers] == [0.0, 1.0, 2.0]
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(MediaError, match="cannot be read as a picture"):
        towers.of_pictures([tmp_path / "text.png"])


def test_another_file_and_random_weights_are_refused(kit: Kit, published: Any) -> None:
    folder = published[2]
    store = store_of(kit, np.ones((1, 512), np.float32))
    with pytest.raises(WeightsError, match="is not the file that the store's clip rows were made with"):
        Meaning(store, folder, device="cpu", download=False)


def test_rows_of_random_weights_mean_nothing(kit: Kit) -> None:
    store = store_of(kit, np.ones((1, 512), np.float32), random_seed=0)
    with pytest.raises(UsageError, match="random weights: they mean nothing"):
        Meaning(store, None, device="cpu", download=False)
