"""The hooks of a model: a loss of its own, buffers settled on the validation split, a fit in one go."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

import train.models
from pipeline.storage.location import location
from tests.fixtures.batches import make_batch
from tests.fixtures.genre_store import GENRES
from train.comparison.grid import GridConfig, compare_fits
from train.evaluation.evaluate import evaluate_run
from train.model import genre_loss
from train.registry import make_model
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.runs.genre_learner import GenreLearner
from train.runs.predict import predict_store
from train.runs.run_folder import RunFolder
from train.settings import Hardware, Training, choose

CPU = Hardware(device="cpu")

# The training videos' means themselves: a video takes after the nearest one. Their number is the data's.
NEIGHBOUR = """
import torch
from train.layers.basic import mean_over_time
from train.model import SolvedModel

class Neighbour(SolvedModel):
    summary = "the genres of the nearest training video"
    suits = {"clip": 6}

    def __init__(self, inputs, genres, options):
        super().__init__(inputs, genres, options)
        self.register_buffer("means", torch.zeros(0, sum(inputs.values())))
        self.register_buffer("labels", torch.zeros(0, genres))

    def embed(self, batch):
        return torch.cat([mean_over_time(batch.features[e], batch.padding[e]) for e in self.inputs], 1)

    def forward(self, batch):
        near = torch.softmax(-4 * torch.cdist(self.embed(batch), self.means), 1)
        return 20 * (near @ self.labels - 0.5)

    def solve(self, training, validation, *, seed):
        twice = [list(training), list(training)]
        assert [b.ids for b in twice[0]] == [b.ids for b in twice[1]] and len(list(validation)) > 0
        self.means = torch.cat([self.embed(batch) for batch in twice[0]])
        self.labels = torch.cat([batch.labels for batch in twice[0]])
"""

SETTLED = """
import torch
from torch import nn
from train.layers.basic import mean_over_time
from train.model import GenreModel

class Settled(GenreModel):
    summary = "a layer; how often a genre is among the validation videos is its bias"

    def __init__(self, inputs, genres, options):
        super().__init__(inputs, genres, options)
        self.layer = nn.Linear(inputs["clip"], genres)
        self.register_buffer("shift", torch.zeros(genres))

    def forward(self, batch):
        return self.layer(mean_over_time(batch.features["clip"], batch.padding["clip"])) + self.shift

    def loss(self, batch, positive_weights):
        return super().loss(batch, positive_weights) + self.layer.weight.square().sum()

    def settle(self, validation, positive_weights):
        assert not self.training and not self.shift.any()
        batches = [*validation, *validation]
        self.shift = torch.cat([batch.labels for batch in batches]).mean(0)
"""


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two further models beside those of the folder."""
    for name, source in (("neighbour", NEIGHBOUR), ("settled", SETTLED)):
        (tmp_path / f"{name}.py").write_text(source, "utf-8")
    monkeypatch.setattr(train.models, "__path__", [*train.models.__path__, str(tmp_path)])
    yield
    for name in ("neighbour", "settled"):
        sys.modules.pop(f"train.models.{name}", None)


def config(folder: Path, run: Path, model: str, experts: tuple[str, ...] = ()) -> FitConfig:
    options: Any = {"training": {"epochs": 1, "batch_size": 8}}
    choices = choose(model=model, experts=experts, options=options)
    return FitConfig(folder / "features", folder / "labels.csv", run, choices, CPU)


@pytest.mark.slow
def test_a_solved_model_is_fitted_predicts_and_is_measured(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    run = fit(config(folder, tmp_path / "run", "neighbour"), said.append)
    assert said[0].startswith("neighbour: clip; 33 videos") and said[1].startswith("solved: validation mAP")
    buffers = load_file(run.model_path)
    assert {name: tuple(value.shape) for name, value in buffers.items()} == {
        "means": (33, 6),
        "labels": (33, len(GENRES)),
    }
    training = json.loads(run.training_path.read_text("utf-8"))
    assert (training["epochs"], training["steps"], training["parameters"]) == (0, 0, 33 * 9)
    assert training["best_map"] > 0.9 and training["seconds"] > 0
    assert run.config()["inputs"] == {"clip": 6}, "what suits the model, though the store has more"
    assert not list(run.checkpoints.glob("*")), "nothing to go on with"
    assert evaluate_run(run.root).figures["ap_macro"].value > 0.85
    written = {row["video_id"]: row["score"] for row in pq.read_table(run.predictions_path).to_pylist()}
    found = predict_store(run, folder / "features", hardware=CPU)
    assert found.ids == tuple(sorted(written))
    for video_id, row in zip(found.ids, found.scores, strict=True):
        assert row == pytest.approx(written[video_id], abs=1e-6)
    again: list[str] = []
    fit(config(folder, tmp_path / "run", "neighbour"), again.append)
    assert again[-1].endswith("nothing to do")


@pytest.mark.slow
def test_a_solved_model_is_compared_with_others(folder: Path, tmp_path: Path) -> None:
    report = compare_fits(
        GridConfig(
            out=tmp_path / "report",
            features=location(folder / "features"),
            labels=folder / "labels.csv",
            experts=("clip",),
            models=("neighbour", "settled"),
            options={"training": {"epochs": 1}},
            hardware=CPU,
            seeds=(0,),
            tables=("models",),
        )
    )
    text = report.read_text("utf-8")
    assert "neighbour" in text and "settled" in text and "failed" not in text


def test_sizes_of_buffers_are_restored_wherever_they_are() -> None:
    model = make_model("neighbour", {"clip": 6}, 2)
    model.inner = torch.nn.Module()
    model.inner.register_buffer("far", torch.arange(5.0))
    other = make_model("neighbour", {"clip": 6}, 2)
    other.inner = torch.nn.Module()
    other.inner.register_buffer("far", torch.zeros(0))
    other.load_state_dict(model.state_dict())
    assert other.inner.far.tolist() == [0, 1, 2, 3, 4]  # type: ignore[union-attr, operator]
    with pytest.raises(RuntimeError, match=r"Missing key"):
        other.load_state_dict({})


@pytest.mark.slow
def test_settling_follows_training_and_is_saved_and_predicted_with(folder: Path, tmp_path: Path) -> None:
    run = fit(config(folder, tmp_path / "run", "settled", ("clip",)))
    rows = pq.read_table(run.predictions_path).to_pylist()
    validation = [row["target"] for row in rows if row["split"] == "validation"]
    expected = torch.tensor(validation).double().mean(0)
    weights = load_file(run.model_path)
    torch.testing.assert_close(weights["shift"].double(), expected, atol=1e-6, rtol=0)
    best = torch.load(run.best_checkpoint, weights_only=True)["state_dict"]
    assert torch.equal(best["model.layer.weight"], weights["layer.weight"])
    written = {row["video_id"]: row["score"] for row in rows}
    found = predict_store(RunFolder(tmp_path / "run"), folder / "features", hardware=CPU)
    for video_id, row in zip(found.ids, found.scores, strict=True):
        assert row == pytest.approx(written[video_id], abs=1e-6)


def test_a_training_step_minimises_the_models_own_loss_and_validation_measures_the_logits() -> None:
    batch = make_batch({"clip": [2, 3, 1]}, {"clip": 6}, genres=2)
    assert batch.labels is not None
    weights = torch.tensor([0.5, 3.0])
    model = make_model("settled", {"clip": 6}, 2)
    plain = genre_loss(model(batch), batch.labels, weights)
    module = GenreLearner(model, Training(), weights)
    more = float(model.layer.weight.detach().square().sum())  # type: ignore[union-attr, operator]
    assert module(batch).item() == pytest.approx(plain.item() + more)
    with torch.no_grad():
        module.validate(batch, 0)
    assert module.figures(0)["validation/loss"] == pytest.approx(plain.item())


def test_the_loss_is_the_formula() -> None:
    logits, labels = torch.tensor([[0.3, -2.0]]), torch.tensor([[1.0, 0.0]])
    p = logits.sigmoid()
    expected = -(0.25 * p[0, 0].log() + (1 - p[0, 1]).log()) / 2
    assert float(genre_loss(logits, labels, torch.tensor([0.25, 7.0]))) == pytest.approx(float(expected))
