"""The networks of the ensemble do not know of each other, and the layer over them is fitted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_score, recall_score

from extract.errors import UsageError
from tests.fixtures.batches import make_batch
from train.importers.writing import Source, write_store
from train.loading.batch import Batch
from train.registry import make_model
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.runs.run_store import batches_of
from train.settings import Hardware, choose, load_preset

CPU = Hardware(device="cpu")
DIMS = {"vgg16": 6, "poster": 8, "words": 5, "metadata": 4}
STEPS = {"vgg16": (4, 2, 0, 1), "poster": (1, 0, 0, 1), "words": (3, 1, 1, 0), "metadata": (1, 1, 0, 0)}
WEIGHTS = torch.tensor([1.0, 2.0, 0.5])


def ensemble(**options: Any) -> Any:
    torch.manual_seed(0)
    given = {"poster_width": 7, "trailer_width": 6, "metadata_width": 0, "dropout": 0, **options}
    return make_model("ensemble", DIMS, 3, given).eval()


def some(steps: Mapping[str, tuple[int, ...]] = STEPS, seed: int = 0) -> Batch:
    return make_batch(steps, DIMS, genres=3, seed=seed)


def many(videos: int = 40) -> Batch:
    steps = {name: tuple((i * (3 + j) + j) % 4 for i in range(videos)) for j, name in enumerate(DIMS)}
    return some({**steps, "vgg16": (1,) * videos})


def test_sizes_of_the_paper() -> None:
    model: Any = make_model("ensemble", {"poster": 4096, "words": 300}, 13)
    shapes = [[tuple(p.shape) for p in network.parameters()] for network in model.networks]
    assert shapes[0] == [(1000, 4096), (1000,), (13, 1000), (13,)]
    assert shapes[1] == [(50, 300), (50,), (13, 50), (13,)]
    four: Any = make_model("ensemble", DIMS, 13)
    assert tuple(four.stack.weight.shape) == (13, 13 * 4)
    metadata: Any = make_model("ensemble", {"metadata": 11_113}, 13)
    layers = [tuple(p.shape) for p in metadata.networks[0].parameters() if p.ndim == 2]
    assert layers == [(100, 11_113), (100, 100), (100, 100), (13, 100)], "4 layers"
    kinds = [type(layer).__name__ for layer in metadata.networks[0].hidden]
    assert kinds == ["Dropout", "Linear", "ReLU"] * 3
    assert load_preset("lebaron2021/ensemble").options["model"]["dropout"] == 0.5
    preset = load_preset("lebaron2021/ensemble").options["training"]
    assert preset["batch_size"] == 64 and preset["monitor"] == "loss" and preset["balance"]


def test_which_table_is_what_can_be_said() -> None:
    model: Any = make_model(
        "ensemble", {"still": 3, "plot": 3, "words": 3}, 2, {"posters": "still", "texts": "plot"}
    )
    assert [network.hidden[1].out_features for network in model.networks] == [1000, 50, 1000]


def test_it_begins_as_the_average_of_its_networks() -> None:
    model, batch = ensemble(), some({name: (2, 2) for name in DIMS})
    logits = torch.stack(
        [
            network.head(network.hidden(batch.features[name].mean(dim=1)))
            for name, network in zip(DIMS, model.networks, strict=True)
        ]
    )
    torch.testing.assert_close(model(batch), logits.mean(dim=0))


def test_the_networks_are_trained_each_alone_and_the_layer_by_no_gradient() -> None:
    model, batch = ensemble(), some()
    networks = model.independent_networks()
    assert {name: network.inputs for name, network in networks.items()} == {n: {n: DIMS[n]} for n in DIMS}
    assert {p for network in networks.values() for p in network.parameters()} == {
        parameter for parameter in model.parameters() if parameter.requires_grad
    }
    torch.testing.assert_close(
        model.embed(batch), torch.cat([network(batch) for network in networks.values()], dim=1)
    )


def test_the_layer_is_fitted_to_the_validation_split() -> None:
    from scipy.optimize import minimize

    model, batch = ensemble(ridge=2.0), many()
    model.settle([batch.select(range(25)), batch.select(range(25, 40))], WEIGHTS)
    assert batch.labels is not None
    with torch.no_grad():
        scores, labels = model.embed(batch).double().numpy(), batch.labels.double().numpy()
    average = np.tile(np.eye(3), (1, 4)) / 4

    def cost(x: np.ndarray) -> float:
        weight, bias = x[:36].reshape(3, 12), x[36:]
        logits = scores @ weight.T + bias
        entropy = WEIGHTS.numpy() * labels * np.logaddexp(0, -logits) + (1 - labels) * np.logaddexp(0, logits)
        return float(entropy.sum() + ((weight - average) ** 2).sum())

    found = minimize(cost, np.zeros(39), method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(model.stack.weight.detach().flatten(), found.x[:36], atol=2e-3)
    np.testing.assert_allclose(model.stack.bias.detach(), found.x[36:], atol=2e-3)
    held = ensemble(ridge=1e9)
    held.settle([batch], WEIGHTS)
    np.testing.assert_allclose(held.stack.weight.detach(), average, atol=1e-5)


@pytest.mark.slow
def test_rare_genres_are_found_at_one_half_as_by_the_best_network(tmp_path: Path, no_curves: None) -> None:
    planted_movies(tmp_path)
    options: Any = {"training": {"epochs": 12, "learning_rate": 1e-2}, "model": {"dropout": 0.2}}
    choices = choose(preset="lebaron2021/ensemble", experts=("words", "metadata"), options=options)
    run = fit(FitConfig(tmp_path / "features", tmp_path / "labels.csv", tmp_path / "run", choices, CPU))  # type: ignore[arg-type]
    rows = [r for r in pq.read_table(run.predictions_path).to_pylist() if r["split"] == "test"]
    target = np.array([row["target"] for row in rows]) > 0
    score = np.array([row["score"] for row in rows])
    model: Any = run.load_model()
    batches = batches_of(run, model, tmp_path / "features", [row["video_id"] for row in rows])
    with torch.no_grad():
        parts = torch.cat([model.embed(b) for b in batches]).sigmoid().view(len(rows), 2, -1).numpy()
    recall = recall_score(target, score >= 0.5, average="macro")
    best = max(recall_score(target, parts[:, i] >= 0.5, average="macro") for i in range(2))
    assert recall >= 0.8 * best and best > 0.6
    assert (score >= 0.5).any(axis=0).all(), "every genre is predicted of some movie"
    went = json.loads(run.training_path.read_text("utf-8"))["networks"]
    assert went.keys() == {"words", "metadata"}
    for network in went.values():
        assert network["epochs"] == min(12, network["best_epoch"] + 5), "5 after its own best"
    assert precision_score(target, score >= 0.5, average="macro") > 2 * target.mean()
    assert average_precision_score(target, score, average="macro") > 0.5


def planted_movies(folder: Path) -> None:
    """Genres from common to rare (a half to a twentieth of 400 movies); both tables show them."""
    random = np.random.default_rng(0)
    ids = [f"{i:04d}" for i in range(400)]
    labels = random.random((400, 5)) < np.array([0.5, 0.3, 0.1, 0.07, 0.05])
    labels[~labels.any(axis=1), 0] = True
    number = {name: i for i, name in enumerate(ids)}
    tables = {
        name: (2.5 * labels + random.standard_normal(labels.shape)).astype(np.float32)
        for name in ("words", "metadata")
    }
    sources = [
        Source(name, 5, lambda video_id, of=of: of[number[video_id]][None], {}) for name, of in tables.items()
    ]
    write_store(folder / "features", ids, sources, options={})
    lines = [
        f"{name},{'|'.join('abcde'[g] for g in np.flatnonzero(labels[i]))}" for name, i in number.items()
    ]
    (folder / "labels.csv").write_text("\n".join(["video_id,genres", *lines]) + "\n", "utf-8")


@pytest.mark.parametrize("option", ["poster_width", "ridge"])
def test_what_cannot_be_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match=f"{option} is -1"):
        ensemble(**{option: -1})
