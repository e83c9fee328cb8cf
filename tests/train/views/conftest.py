"""A small trained run, and its store with shots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.layout import open_store
from tests.fixtures.genre_store import genre_store
from tests.fixtures.shots import add_shots
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.runs.run_folder import RunFolder
from train.settings import Hardware, choose

CPU = Hardware(device="cpu")
WITHOUT_SHOTS = "films/003"


def shot_starts(video_id: str) -> Sequence[float]:
    """Steps begin at 0, 1, 2, ... s: shots with one, with two, with none; the first step comes before all."""
    return () if video_id == WITHOUT_SHOTS else (0.25, 1.0, 2.5, 2.75, 4.5)


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store, _ = genre_store(tmp_path_factory.mktemp("store"))
    add_shots(open_store(store), shot_starts)
    return store


@pytest.fixture(scope="session")
def run(features: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    options: dict[str, dict[str, Any]] = {
        "model": {"width": 8, "layers": 1, "heads": 2, "feedforward": 16, "longest": 8},
        "training": {"epochs": 1, "learning_rate": 0.01, "batch_size": 8},
        "clip": {"cap": 1},
        "panns": {"mean": True},
    }
    choices = choose(model="single-transformer", options=options)
    labels = features.parent / "labels.csv"
    return fit(FitConfig(features, labels, tmp_path_factory.mktemp("runs") / "tiny", choices, CPU))
