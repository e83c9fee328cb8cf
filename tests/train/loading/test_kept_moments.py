"""Means and deviations are computed once for the same rows, and anew for others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tests.fixtures.features import DIMS, feature_store, names
from train.loading import normalise
from train.loading.features import FeatureSet
from train.loading.normalise import Normaliser
from train.loading.steps import Steps
from train.loading.stream import Loader, Stream


@pytest.fixture
def features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureSet:
    monkeypatch.setenv("MARQUEE_CACHE", str(tmp_path / "cache"))
    return FeatureSet.open(feature_store(tmp_path / "out", names(12)))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Experts whose rows were read for it."""
    experts: list[str] = []
    read = normalise._Moments.mean_and_std_of

    def counted(loader: Loader, expert: str) -> tuple[torch.Tensor, torch.Tensor]:
        experts.append(expert)
        return read(loader, expert)

    monkeypatch.setattr(normalise._Moments, "mean_and_std_of", counted)
    return experts


def test_the_same_rows_are_read_once(features: FeatureSet, computed: list[str]) -> None:
    first = Normaliser.fit(Loader(features, names(12)[:8]))
    assert sorted(computed) == sorted(DIMS)
    again = Normaliser.fit(Loader(features, names(12)[:8], shuffle=True))
    assert sorted(computed) == sorted(DIMS)
    for expert in DIMS:
        assert torch.equal(first.mean[expert], again.mean[expert])
        assert torch.equal(first.std[expert], again.std[expert])


def test_other_videos_steps_and_files_are_read(features: FeatureSet, computed: list[str]) -> None:
    name = min(DIMS)
    features = features.select([name])
    random = Steps(cap=2, how="random")

    def read(videos: int, steps: Steps, seed: int = 0) -> int:
        before = len(computed)
        Normaliser.fit(Loader(features, names(12)[:videos], stream=Stream(steps={name: steps}, seed=seed)))
        return len(computed) - before

    assert [read(8, Steps()), read(9, Steps()), read(8, Steps(cap=1)), read(8, random)] == [1, 1, 1, 1]
    assert [read(8, random, seed=1), read(8, Steps(), seed=1)] == [1, 0]  # only what is drawn has a seed
    for path in features.tables[name].paths:
        assert isinstance(path, Path)
        os.utime(path, (0, 0))
    assert read(8, Steps()) == 1


def test_a_damaged_file_and_a_cache_that_cannot_be_written_cost_only_time(
    features: FeatureSet, computed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = min(DIMS)
    loader = Loader(features.select([name]), names(12))
    first = Normaliser.fit(loader)
    (kept,) = (tmp_path / "cache" / "moments").iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    again = Normaliser.fit(loader)
    assert computed == [name, name] and torch.equal(first.mean[name], again.mean[name])
    monkeypatch.setenv("MARQUEE_CACHE", str(kept / "below a file"))
    assert torch.equal(Normaliser.fit(loader).std[name], first.std[name])
