"""Moviescope's parts as labels, its trailers' vectors as a store."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from train.cli.commands import app
from train.errors import DataError
from train.importers.moviescope import import_moviescope
from train.loading.features import FeatureSet

GENRES = ("Action", "Comedy", "Drama")


def published(folder: Path, **more: Any) -> Path:
    """The three files as Python 2 writes them, and vectors of two of the four movies."""
    parts = {"train": [(7, [1, 0, 1]), (9, [0, 1, 0])], "val": [(11, [0, 0, 1])], "test": [(13, [1, 1, 0])]}
    for part, movies in parts.items():
        entries = [
            {"movie_id": name, "newGenreLabels": np.array(labels), "plot": f"A plot, \u00e9 {name}.", **more}
            for name, labels in movies
        ]
        (folder / f"raw_data_{part}.p").write_bytes(pickle.dumps(entries, protocol=2))
    (folder / "vectors").mkdir(exist_ok=True)
    for name in (7, 13):
        np.save(folder / "vectors" / f"{name}.npy", np.full((200, 4096), name, np.float32))
    return folder


def test_the_command_writes_labels_and_a_store(tmp_path: Path) -> None:
    folder, labels, out = published(tmp_path), tmp_path / "labels.csv", tmp_path / "features"
    arguments = ["import", "moviescope", str(folder), "--genres", ",".join(GENRES), "--labels", str(labels)]
    result = CliRunner().invoke(app, [*arguments, "--vectors", str(folder / "vectors"), "--out", str(out)])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "2 movies to train, 1 to validate, 1 to test" in result.output and "vgg16 [4096]" in result.output
    with labels.open(newline="", encoding="utf-8") as file:
        rows = {row["video_id"]: row for row in csv.DictReader(file)}
    assert json.loads(rows["7"]["genres"]) == ["Action", "Drama"] and rows["11"]["split"] == "validation"
    assert rows["13"]["plot"] == "A plot, \u00e9 13."
    features = FeatureSet.open(out)
    assert features.ids == ("13", "7") and features.dims == {"vgg16": 4096}
    assert features.tables["vgg16"].steps.tolist() == [200, 200]


def test_labels_alone(tmp_path: Path) -> None:
    found = import_moviescope(published(tmp_path), GENRES, tmp_path / "labels.csv")
    assert found.movies == {"train": 2, "validation": 1, "test": 1} and found.with_vectors == 0
    assert not (tmp_path / "features").exists()


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    folder = published(tmp_path)
    with pytest.raises(DataError, match="2 genres are named"):
        import_moviescope(folder, GENRES[:2], tmp_path / "labels.csv")
    published(tmp_path, movie_id=5)
    with pytest.raises(DataError, match="'5' twice"):
        import_moviescope(folder, GENRES, tmp_path / "labels.csv")
    (folder / "raw_data_val.p").write_bytes(pickle.dumps([{"movie_id": 1}], protocol=2))
    with pytest.raises(DataError, match="without movie_id, newGenreLabels or plot"):
        import_moviescope(folder, GENRES, tmp_path / "labels.csv")
    assert not (tmp_path / "labels.csv").exists()
