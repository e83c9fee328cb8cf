"""Tables that are read for their times alone, from the store to the batch and to a prediction."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import train.models
from pipeline.store.layout import Store, open_store
from tests.fixtures.features import feature_store, names, vectors
from tests.fixtures.genre_store import genre_store
from tests.fixtures.shots import add_shots
from train.errors import DataError
from train.loading.features import FeatureSet
from train.loading.normalise import Normalised, Normaliser
from train.loading.stream import Loader, Stream
from train.registry import model_class
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.runs.predict import predict_store
from train.settings import Hardware, choose

# Sees nothing but how many shots a video has, and whether the store has shots at all.
COUNTER = """
import torch
from train.model import GenreModel

class ShotCounter(GenreModel):
    summary = "counts shots"
    timelines = ("scenes",)

    def __init__(self, inputs, genres, options):
        super().__init__(inputs, genres, options)
        self.weight = torch.nn.Parameter(torch.ones(genres))

    def embed(self, batch):
        if "scenes" not in batch.padding:
            return torch.full((len(batch), 1), -1.0)
        return (~batch.padding["scenes"]).sum(1, keepdim=True).float()

    def forward(self, batch):
        return self.embed(batch) * self.weight
"""


def starts(number: int) -> list[float]:
    """When the shots of a video begin; some videos have none."""
    return [] if number % 7 == 3 else [1.5 * k + 0.25 for k in range(1 + number % 5)]


def add_scenes(store: Store, *, version: int = 1) -> None:
    add_shots(store, lambda name: starts(int(name[-3:])), version=version)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = feature_store(tmp_path_factory.mktemp("store") / "out", names(23))
    add_scenes(made)
    return made


def test_a_timeline_is_in_the_batch_without_values_and_is_no_input(store: Store) -> None:
    features = FeatureSet.open(store, timelines=("scenes", "chapters"))
    assert list(features.timelines) == ["scenes"] and "scenes" not in features.dims
    assert features.ids == tuple(names(23)), "a video with nothing but shots is none to train on"
    (part, *_) = store.parts("scenes")
    assert features.fingerprints["scenes"] == part.fingerprint
    seen = 0
    for batch in Loader(features, names(23), stream=Stream(5, buffer_bytes=600), shuffle=True):
        lengths = [len(starts(int(name[4:]))) for name in batch.ids]
        time = max(1, *lengths)
        assert batch.features["scenes"].shape == (len(batch), time, 0)
        assert batch.present["scenes"].tolist() == [length > 0 for length in lengths]
        for i, (name, length) in enumerate(zip(batch.ids, lengths, strict=True)):
            assert batch.padding["scenes"][i].tolist() == [False] * length + [True] * (time - length)
            assert batch.start_seconds["scenes"][i, :length].tolist() == starts(int(name[4:]))
            pictures = vectors("pictures", name)
            assert pictures is not None and batch.padding["pictures"][i].logical_not().sum() == len(pictures)
        seen += len(batch)
    assert seen == 23


def test_it_is_read_from_files_of_other_writers_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from train.loading import pages, vectors

    def batches() -> list[torch.Tensor]:
        features = FeatureSet.open(store, ["pictures"], timelines=("scenes",))
        return [batch.start_seconds["scenes"] for batch in Loader(features, names(23))]

    def not_plain(*_: Any, **__: Any) -> Any:
        raise pages.NotPlain

    expected = batches()
    monkeypatch.setattr(vectors, "_read_plain", not_plain)
    assert all(torch.equal(a, b) for a, b in zip(batches(), expected, strict=True))


def test_without_the_table_or_without_asking_batches_lack_it(store: Store, tmp_path: Path) -> None:
    other = feature_store(tmp_path / "out", names(3))
    for features in (FeatureSet.open(other, timelines=("scenes",)), FeatureSet.open(store)):
        assert not features.timelines and "scenes" not in features.fingerprints
        assert "scenes" not in next(iter(Loader(features, names(3)))).padding


def test_a_loader_does_not_go_on_with_another_timeline(store: Store) -> None:
    state = Loader(FeatureSet.open(store, timelines=("scenes",)), names(23)).state_dict()
    with pytest.raises(DataError, match="resume with the same"):
        Loader(FeatureSet.open(store), names(23)).load_state_dict(state)


def test_normalising_leaves_timelines_alone(store: Store) -> None:
    loader = Loader(FeatureSet.open(store, timelines=("scenes",)), names(23))
    normaliser = Normaliser.fit(loader)
    assert normaliser.mean.keys() == {"pictures", "sound"}
    raw, normal = next(iter(loader)), next(iter(Normalised(loader, normaliser)))
    assert torch.equal(raw.start_seconds["scenes"], normal.start_seconds["scenes"])
    assert normal.features["scenes"].shape == raw.features["scenes"].shape
    assert not torch.equal(raw.features["pictures"], normal.features["pictures"])


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "shot_counter.py").write_text(COUNTER, "utf-8")
    monkeypatch.setattr(train.models, "__path__", [*train.models.__path__, str(tmp_path)])
    assert model_class("shot-counter").timelines == ("scenes",)
    yield
    sys.modules.pop("train.models.shot_counter", None)


@pytest.mark.slow
def test_a_run_reads_the_timeline_that_it_was_trained_on(counter: None, tmp_path: Path) -> None:
    features, labels = genre_store(tmp_path)
    choices = choose(model="shot-counter", options={"training": {"epochs": 1, "learning_rate": 1e-9}})
    cpu = Hardware(device="cpu")
    plain = fit(FitConfig(features, labels, tmp_path / "plain", choices, cpu))
    assert plain.config()["timelines"] == []
    add_scenes(open_store(features))
    run = fit(FitConfig(features, labels, tmp_path / "run", choices, cpu))
    assert run.config()["timelines"] == ["scenes"] and "scenes" in run.config()["experts"]
    counts = np.array([len(starts(i)) for i in range(48)])
    found = predict_store(run, features, hardware=cpu)
    np.testing.assert_allclose(found.scores[:, 0], 1 / (1 + np.exp(-counts)), atol=1e-5)
    without = predict_store(plain, features, hardware=cpu)
    np.testing.assert_allclose(without.scores, 1 / (1 + np.e), atol=1e-5, err_msg="trained without shots")
    add_scenes(open_store(features), version=2)
    with pytest.raises(DataError, match=r"'scenes' has fingerprint [0-9a-f]{12}, the model was trained on"):
        predict_store(run, features, hardware=cpu)
    (tmp_path / "bare").mkdir()
    bare, _ = genre_store(tmp_path / "bare")
    with pytest.raises(DataError, match=r"trained on 'scenes', which .* does not have: extract it"):
        predict_store(run, bare, hardware=cpu)
