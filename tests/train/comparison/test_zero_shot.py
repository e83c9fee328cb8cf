"""The baseline of a store's tags, on a store whose tags show the genres."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from pipeline.store.layout import Store, open_store
from tests.fixtures.genre_store import GENRES, genre_store, genres_of
from tests.pipeline.about.conftest import write_tables
from train.comparison.grid import GridConfig, compare_fits
from train.comparison.zero_shot import zero_shot_scores
from train.evaluation.evaluate import read_predictions
from train.runs.run_folder import RunFolder
from train.settings import Hardware

WORDS = ("DRAMA: a sad scene", "night", "Action", "comedy")


def cosines(number: int) -> np.ndarray:
    """Of each shot with action, comedy and drama, (shots, 3); a little higher where the genre is shown."""
    shown = np.array([genre in genres_of(number) for genre in GENRES])
    noise = np.random.default_rng(number).normal(size=(3 + number % 2, 3))
    return np.asarray(0.2 + 0.03 * shown + 0.04 * noise, np.float32)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of films with tags of all but the last, all in one shard."""
    folder = tmp_path_factory.mktemp("planted")
    genre_store(folder, videos=40, experts=("clip",), shard_size=64)
    store = open_store(folder / "features")
    rows = {}
    for number in range(39):
        rows[f"films/{number:03d}"] = [
            {
                "start_seconds": float(i), "end_seconds": i + 1.0, "scene": i, "DRAMA": shot[2], "night": 0.9,
                "Action": shot[0], "comedy": shot[1], "embedding": [shot[2], 0.9, shot[0], shot[1]],
            }
            for i, shot in enumerate(cosines(number).tolist())
        ]  # fmt: skip
    record(store, write_tables(store, "tags", {"words": WORDS}, {"tags": rows}))
    return folder


def record(store: Store, *targets: object) -> None:
    store.record_run(targets, options={}, versions={}, started="2024-01-01T00:00:00Z")  # type: ignore[arg-type]


def softmax(number: int) -> np.ndarray:
    shares = np.exp(100 * cosines(number).mean(axis=0).astype(float))
    return np.asarray(shares / shares.sum())


def test_scores_are_the_softmax_of_the_mean_cosines(planted: Path) -> None:
    store = open_store(planted / "features")
    ids = ["films/039", "films/003", "films/001"]
    scores = zero_shot_scores(store, ids, ["Drama ", "ACTION", "comedy"])
    assert scores is not None
    np.testing.assert_allclose(scores[0], 1 / 3)  # of which there are no tags
    for row, number in ((1, 3), (2, 1)):
        np.testing.assert_allclose(scores[row], softmax(number)[[2, 0, 1]], rtol=1e-4)
    assert zero_shot_scores(store, ids, ["Drama", "Horror"]) is None


def test_compare_has_the_row_where_tags_are_named_as_the_genres(planted: Path, tmp_path: Path) -> None:
    report = compare_fits(
        GridConfig(
            tmp_path / "report",
            planted / "features",
            planted / "labels.csv",
            experts=("clip",),
            models=("mlp",),
            tables=("models",),
            seeds=(0,),
            hardware=Hardware(device="cpu"),
            options={"model": {"width": 4}, "training": {"epochs": 1}},
        )
    )
    assert "Zero-shot tags: the store's tags" in report.read_text("utf-8")
    with (tmp_path / "report/table2.csv").open(encoding="utf-8", newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if row["model"] == "zero-shot tags"]
    (run,) = (tmp_path / "report/runs").iterdir()
    tested = read_predictions(RunFolder(run).predictions_path, split="test").ids
    numbers = [int(name.rpartition("/")[2]) for name in tested]
    scores = np.array([softmax(n) if n < 39 else np.full(3, 1 / 3) for n in numbers])
    target = np.array([[genre in genres_of(n) for genre in GENRES] for n in numbers])
    expected = average_precision_score(target, scores, average="macro")
    assert float(row["mAP macro"]) == pytest.approx(expected, abs=1e-4)
