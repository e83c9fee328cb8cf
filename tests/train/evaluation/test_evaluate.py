"""A run's predictions to its figures: the files, what they hold, and what is refused."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score

from train.errors import DataError
from train.evaluation.baseline import random_figures
from train.evaluation.evaluate import evaluate, evaluate_run, read_predictions
from train.evaluation.figures import Predictions, Scoring
from train.runs.run_folder import write_predictions

GENRES = ("Drama", "Sci-Fi/<b>Fantasy</b> & $x_$", "Nobody's")
QUICK = Scoring(resamples=50)


def planted(videos: int = 60) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    target = rng.random((videos, 3)) < (0.6, 0.3, 0.0)
    return target, np.clip(0.7 * rng.random((videos, 3)) + 0.3 * target, 0, 1).astype(np.float32)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    target, score = planted()
    write_predictions(
        tmp_path / "predictions.parquet",
        GENRES,
        ids=[f"v{number}" for number in range(60)],
        splits=["train"] * 20 + ["test"] * 40,
        targets=target,
        scores=score,
    )
    return tmp_path


def test_a_run_is_measured_on_the_videos_of_a_split(run: Path) -> None:
    evaluation = evaluate_run(run, scoring=QUICK)
    target, score = planted()
    expected = average_precision_score(target[20:, :2], score[20:, :2], average="macro") * 2 / 3
    figure = evaluation.figures["ap_macro"]
    assert figure.value == pytest.approx(expected)
    assert figure.low < figure.value < figure.high
    assert figure.random == random_figures(target[20:], QUICK.thresholds)[0]["ap_macro"]
    assert figure.frequency == pytest.approx(target[20:].mean(axis=0).mean())
    assert evaluation.videos == 40
    assert evaluation.empty_genres == ("Nobody's",)


@pytest.mark.slow
def test_what_a_run_folder_holds_afterwards(run: Path) -> None:
    evaluation = evaluate_run(run, scoring=QUICK)
    record = json.loads((run / "metrics.json").read_text("utf-8"), parse_constant=pytest.fail)
    assert record["videos"] == 40
    assert record["empty_genres"] == ["Nobody's"]
    assert record["figures"]["ap_micro"]["value"] == evaluation.figures["ap_micro"].value
    assert record["per_genre"]["Nobody's"]["roc_auc"]["value"] is None, "no NaN in JSON"
    with (run / "per_genre.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["genre"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(GENRES)
    assert float(rows["Drama"]["ap"]) == evaluation.by_genre["ap"][0].value
    assert float(rows["Drama"]["ap_low"]) < float(rows["Drama"]["ap"]) < float(rows["Drama"]["ap_high"])
    assert rows["Nobody's"]["roc_auc_random"] == ""
    with np.load(run / "bootstrap.npz") as drawn:
        assert drawn["f1_macro@0.5"].shape == (50,)
    evaluate_run(run, split="train", scoring=QUICK)
    assert json.loads((run / "metrics-train.json").read_text("utf-8"))["videos"] == 20
    assert json.loads((run / "metrics.json").read_text("utf-8")) == record


@pytest.mark.slow
def test_curves_are_the_same_bytes_again_and_names_stay_text(run: Path) -> None:
    def pictures() -> list[bytes]:
        evaluate_run(run, scoring=QUICK)
        return [(run / "curves" / f"{name}.svg").read_bytes() for name in ("all", "genres")]

    first = pictures()
    assert first == pictures()
    for picture in first:
        assert b"<dc:date>" not in picture
    texts = "".join(ET.fromstring(first[1]).itertext())
    assert "Sci-Fi/<b>Fantasy</b> &" in texts, "markup in a name is escaped"
    assert "in no video" in texts


def test_groups_widen_the_interval() -> None:
    """Ten trailers of each film are the same: they are not ten films."""
    target, score = planted(30)
    groups = tuple(f"film {number}" for number in range(30) for _ in range(10))
    ids = tuple(map(str, range(300)))
    many = Predictions(ids, GENRES, target.repeat(10, axis=0), score.repeat(10, axis=0))
    grouped = Predictions(ids, GENRES, many.target, many.score, groups)
    alone, together = (evaluate(p, Scoring(resamples=200)).figures["ap_macro"] for p in (many, grouped))
    assert alone.value == pytest.approx(together.value)
    assert together.high - together.low > 2 * (alone.high - alone.low)
    assert evaluate(grouped, QUICK).groups == 30


@pytest.mark.slow
def test_the_groups_of_a_run_are_read(run: Path) -> None:
    table = pq.read_table(run / "predictions.parquet")
    table = table.append_column("group", pa.array([f"film {number // 2}" for number in range(60)]))
    pq.write_table(table, run / "predictions.parquet")
    assert evaluate_run(run, scoring=QUICK).groups == 20


@pytest.mark.slow
def test_without_resamples_there_is_no_interval(run: Path) -> None:
    evaluation = evaluate_run(run, scoring=Scoring(resamples=0))
    assert np.isnan(evaluation.figures["ap_macro"].low)
    assert json.loads((run / "metrics.json").read_text("utf-8"))["figures"]["ap_macro"]["high"] is None


def test_a_split_that_is_not_there(run: Path) -> None:
    with pytest.raises(DataError, match="no video of the split 'validation'; it has test, train"):
        evaluate_run(run, split="validation")


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="folder of a run that has been trained"):
        evaluate_run(tmp_path)
    (tmp_path / "predictions.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="cannot read the predictions"):
        evaluate_run(tmp_path)


def test_predictions_without_labels_or_names(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(
        path, ("a",), ids=["v"], splits=["test"], targets=None, scores=np.ones((1, 1), np.float32)
    )
    with pytest.raises(DataError, match=r"cannot read the predictions.*target"):
        read_predictions(path, split="test")
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    with pytest.raises(DataError, match="cannot read the predictions"):
        read_predictions(path, split="test")


def test_names_and_columns_must_agree() -> None:
    with pytest.raises(DataError, match="2 names for 3 genres"):
        evaluate(Predictions(("v",), ("a", "b"), np.ones((1, 3)), np.ones((1, 3))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": (0.5, 1.5)}, "1.5.*from 0 to 1"),
        ({"resamples": -1}, "-1 bootstrap resamples"),
        ({"confidence": 1.0}, "between 0 and 1"),
    ],
)
def test_scoring_checks_itself(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Scoring(**options)
