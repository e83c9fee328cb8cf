"""Vectors of videos against the model's own, from batches and from a run folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.fixtures.batches import make_batch
from tests.fixtures.genre_store import genre_store
from train.registry import make_model
from train.runs.config import FitConfig
from train.runs.embeddings import embed_store, embeddings_of
from train.runs.fit import fit
from train.runs.run_store import batches_of
from train.settings import Hardware, choose


def test_they_are_the_models_own_in_the_order_of_the_batches() -> None:
    model = make_model("mlp", {"clip": 6}, 2, {"width": 8, "dropout": 0.9}).train()
    whole = make_batch({"clip": (3, 1, 2, 4)}, {"clip": 6})
    ids, vectors = embeddings_of(model, [whole.select([2, 0]), whole.select([3])])
    assert ids == ["video 2", "video 0", "video 3"]
    with torch.no_grad():
        expected = model.eval().embed(whole).numpy()[[2, 0, 3]]
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    halves = embeddings_of(model, [whole.select([2, 0, 3])], precision="bfloat16")[1]
    np.testing.assert_allclose(halves, expected, atol=0.05)
    assert not np.array_equal(halves, expected)
    assert embeddings_of(model, [])[0] == []


def test_a_run_folder_and_a_store_are_enough(tmp_path: Path) -> None:
    features, labels = genre_store(tmp_path, empty=["films/003"])
    choices = choose(model="mlp", options={"model": {"width": 8}, "training": {"epochs": 1}})
    cpu = Hardware(device="cpu")
    run = fit(FitConfig(features, labels, tmp_path / "run", choices, cpu))
    ids, vectors = embed_store(run, features, hardware=cpu)
    assert ids == sorted(ids) and len(ids) == 47 and "films/003" not in ids
    model = run.load_model()
    (batch,) = batches_of(run, model, features, ["films/007"])
    with torch.no_grad():
        expected = model.embed(batch).numpy()[0]
    np.testing.assert_allclose(vectors[ids.index("films/007")], expected, atol=1e-5)
