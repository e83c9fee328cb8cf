"""Predictions by a trained run: from stores, from videos, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract.errors import UsageError
from tests.fixtures.genre_store import GENRES, genre_store
from train.errors import DataError
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.runs.predict import Prediction, is_store, predict_store, predict_videos
from train.runs.run_folder import RunFolder
from train.settings import Hardware, choose

CPU = Hardware(device="cpu")


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return genre_store(tmp_path_factory.mktemp("store"))[0]


@pytest.fixture(scope="module")
def run(features: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    small: dict[str, dict[str, Any]] = {
        "model": {"width": 8},
        "training": {"epochs": 2, "learning_rate": 0.01, "batch_size": 8},
    }
    choices = choose(model="mlp", options=small)
    labels = features.parent / "labels.csv"
    return fit(FitConfig(features, labels, tmp_path_factory.mktemp("runs") / "a", choices, CPU))


@pytest.mark.slow
def test_a_store_gets_the_scores_that_the_run_wrote(features: Path, run: RunFolder) -> None:
    found = predict_store(run, features, hardware=CPU)
    assert found.genres == GENRES and found.without == () and list(found.ids) == sorted(found.ids)
    rows = pq.read_table(run.predictions_path).to_pylist()
    written = {row["video_id"]: row["score"] for row in rows}
    assert written.keys() == set(found.ids)
    for video_id, row in zip(found.ids, found.scores, strict=True):
        np.testing.assert_allclose(row, written[video_id], atol=1e-6)  # other batches, float32


def test_rows_of_another_fingerprint_are_refused(run: RunFolder, tmp_path: Path) -> None:
    other, _ = genre_store(tmp_path, version=2)
    with pytest.raises(DataError, match=r"'clip' has fingerprint \w+, the model was trained on \w+"):
        predict_store(run, other, hardware=CPU)


def test_a_store_without_the_experts_is_refused(run: RunFolder, tmp_path: Path) -> None:
    store, _ = genre_store(tmp_path, experts=("clip",))
    with pytest.raises(DataError, match="has no rows of expert 'panns'"):
        predict_store(run, store, hardware=CPU)


def test_videos_that_have_nothing_are_named(run: RunFolder, tmp_path: Path) -> None:
    store, _ = genre_store(tmp_path, 6, empty=("films/002",))
    found = predict_store(run, store, hardware=CPU)
    assert found.without == ("films/002",) and len(found.ids) == 5 and not found.failures
    failure = {"video_id": "films/002", "stage": "open", "error_type": "MediaError", "message": "is empty"}
    rows = [{**failure, "expert": expert} for expert in ("clip", "panns")]
    pq.write_table(pa.Table.from_pylist(rows), store / "failures.parquet")
    assert predict_store(run, store, hardware=CPU).failures == {"films/002": "is empty"}


def test_a_store_of_random_weights_is_refused_unless_it_is_allowed(run: RunFolder, tmp_path: Path) -> None:
    store, _ = genre_store(tmp_path, random_seed=1)
    with pytest.raises(DataError, match=r"random weights.*--allow-random-weights"):
        predict_store(run, store, hardware=CPU)
    with pytest.raises(DataError, match="the model was trained on"):  # allowed, but of another fingerprint
        predict_store(run, store, hardware=CPU, allow_random_weights=True)


def test_a_run_that_is_not_finished_is_refused(run: RunFolder, features: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not a run: it has no config.json"):
        predict_store(RunFolder(tmp_path), features)
    (tmp_path / "config.json").write_text(run.config_path.read_text("utf-8"), "utf-8")
    with pytest.raises(UsageError, match="is not finished: start it again"):
        predict_store(RunFolder(tmp_path), features)
    (tmp_path / "config.json").write_text('{"format": 99}', "utf-8")
    with pytest.raises(UsageError, match="upgrade marquee"):
        predict_store(RunFolder(tmp_path), features)
    (tmp_path / "config.json").write_text("{", "utf-8")
    with pytest.raises(UsageError, match="cannot be read"):
        predict_store(RunFolder(tmp_path), features)


def test_stores_and_videos_are_told_apart(features: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    assert is_store(features) and not is_store(tmp_path) and not is_store(tmp_path / "a.mp4")


def test_videos_that_are_not_there_are_refused(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no .*: give a video, a folder of videos, or a store"):
        predict_videos(run, tmp_path / "nothing", hardware=CPU)


def test_imported_features_cannot_be_extracted(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"clip, panns were imported, .* predict from a store that has"):
        predict_videos(run, tmp_path, hardware=CPU)


PREDICTED = Prediction(
    ("b", "a"), ("action", "drama"), np.array([[0.9, 0.6], [0.2, 0.3]], np.float32), ("nothing",)
)


def test_genres_that_reach_the_threshold_or_the_best() -> None:
    named = [[genre for genre, _ in row] for row in PREDICTED.best()]
    assert named == [["action", "drama"], ["drama"]]
    assert [len(row) for row in PREDICTED.best(0.7)] == [1, 1]


def test_scores_are_written_as_csv_and_parquet(tmp_path: Path) -> None:
    PREDICTED.write(tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["video_id", "action", "drama"],
        ["b", "0.900000", "0.600000"],
        ["a", "0.200000", "0.300000"],
    ]
    PREDICTED.write(tmp_path / "scores.parquet")
    table = pq.read_table(tmp_path / "scores.parquet")
    assert json.loads(table.schema.metadata[b"genres"]) == ["action", "drama"]
    assert table.column("video_id").to_pylist() == ["b", "a"] and "target" not in table.column_names
    with pytest.raises(UsageError, match=r"ends in .csv or .parquet"):
        PREDICTED.write(tmp_path / "scores.txt")
