"""Label augmentation: what is added, what never changes, and that the table trains again."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from extract.errors import UsageError
from train.errors import DataError
from train.labels.splits import split_by_column
from train.labels.table import LabelColumns, read_labels
from train.runs.relabel import relabel
from train.runs.run_folder import RunFolder, write_predictions

GENRES = ("action", "sci-fi, horror", "comedy|drama")  # with every mark that separates genres elsewhere
IDS = ("a", "b", "c", "d")
SPLITS = ("train", "train", "validation", "test")
TARGET = np.array([[1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]], bool)
SCORE = np.array([[0.1, 0.3, 0.2], [0.2, 0.9, 0.31], [0.5, 0.5, 0.29], [0.7, 0.0, 0.0]], np.float32)
AUGMENTED = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 0], [1, 0, 1]], bool)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.create()
    folder.write_json(folder.config_path, {"format": 1})
    write_predictions(
        folder.predictions_path,
        GENRES,
        ids=IDS,
        splits=SPLITS,
        targets=TARGET,
        scores=SCORE,
        groups=["film 1", "film 1", "\0c", "\0d"],
    )
    return folder


def test_genres_are_added_from_the_threshold_on_and_none_is_taken_away(run: RunFolder) -> None:
    found = relabel(run)
    assert np.array_equal(found.before, TARGET) and np.array_equal(found.after, AUGMENTED)
    assert found.counts() == [
        ("action", 1, 2, 0, 3), ("comedy|drama", 1, 1, 0, 2), ("sci-fi, horror", 1, 2, 0, 3)
    ]  # fmt: skip
    assert np.array_equal(relabel(run, threshold=1.0).after, TARGET)
    assert relabel(run, threshold=0.0).after.all()


def test_the_genres_that_are_seen_may_replace_the_label(run: RunFolder) -> None:
    found = relabel(run, replace=True)
    seen = np.array([[0, 1, 0], [0, 1, 1], [1, 1, 0], [1, 0, 0]], bool)
    assert np.array_equal(found.after, seen) and found.removed.sum() == 2
    assert found.summary().startswith("4 of 4 videos got 5 more genres, 2 lost 2; those of the test")
    assert np.array_equal(relabel(run, replace=True, threshold=1.0).after, TARGET), "none seen: as it was"
    kept = relabel(run, replace=True, parts=("train",)).after
    assert np.array_equal(kept, np.vstack([seen[:2], TARGET[2:]]))


def test_other_parts_of_the_split_keep_their_labels(run: RunFolder) -> None:
    found = relabel(run, parts=("train", "validation"))
    assert np.array_equal(found.after, np.vstack([AUGMENTED[:3], TARGET[3:]]))
    assert found.summary() == "3 of 4 videos got 4 more genres"
    assert "no longer ground truth (--parts train,validation" in relabel(run).summary()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_table_is_read_as_labels_with_the_split_and_the_groups(
    run: RunFolder, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"relabelled{suffix}"
    relabel(run).write(path)
    new = read_labels(path, LabelColumns(group="group"))
    assert new.ids == IDS and new.genres == tuple(sorted(GENRES))
    order = [GENRES.index(genre) for genre in new.genres]
    assert np.array_equal(new.matrix, AUGMENTED[:, order])
    old = read_labels(path, LabelColumns(genres="old_genres"))
    assert np.array_equal(old.matrix, TARGET[:, order])
    split = split_by_column(new, "split")
    assert (split.train, split.validation, split.test) == (("a", "b"), ("c",), ("d",))
    assert new.groups is not None and new.groups[0] == new.groups[1] != new.groups[2] != new.groups[3]


def test_old_and_new_labels_stand_side_by_side_with_the_scores(run: RunFolder, tmp_path: Path) -> None:
    relabel(run).write(tmp_path / "relabelled.csv")
    with (tmp_path / "relabelled.csv").open(newline="", encoding="utf-8") as file:
        row = list(csv.DictReader(file))[1]
    assert json.loads(row["genres"]) == ["sci-fi, horror", "comedy|drama"] == json.loads(row["added_genres"])
    assert row["old_genres"] == "[]" and row["score:sci-fi, horror"] == "0.900000"
    relabel(run).write(tmp_path / "relabelled.parquet")
    table = pq.read_table(tmp_path / "relabelled.parquet")
    assert table.column("added_genres").to_pylist()[0] == ["sci-fi, horror"]
    np.testing.assert_array_equal(table.column("score:action").to_numpy().astype(np.float32), SCORE[:, 0])


def test_what_cannot_be_asked_is_refused(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--threshold is 3.0; a score is from 0 to 1"):
        relabel(run, threshold=3.0)
    with pytest.raises(UsageError, match=r"--parts names 'dev'; there are train, validation, test"):
        relabel(run, parts=("train", "dev"))
    with pytest.raises(UsageError, match=r"ends in .csv or .parquet"):
        relabel(run).write(tmp_path / "relabelled.txt")
    with pytest.raises(UsageError, match="is not a run"):
        relabel(RunFolder(tmp_path))
    run.predictions_path.unlink()
    with pytest.raises(DataError, match="give the folder of a run that has been trained"):
        relabel(run)
