"""Genres of shots against the same run's predictions for a store in which every shot is a video."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from extract.errors import UsageError
from pipeline.store.reading import read
from tests.fixtures.genre_store import DIMS, genre_store
from tests.train.views.conftest import CPU, WITHOUT_SHOTS, shot_starts
from train.errors import DataError
from train.importers.writing import Source, write_store
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.runs.predict import predict_store
from train.runs.run_folder import RunFolder
from train.runs.run_store import batches_of
from train.settings import choose
from train.views.scenes import SceneScorer, SceneScores

VIDEO = "films/011"  # five steps of each expert


def steps_of_shots(features: Path) -> dict[str, dict[str, np.ndarray]]:
    """Shot's number as text -> expert -> vectors, by a plain loop."""
    found: dict[str, dict[str, list[list[float]]]] = {}
    starts = shot_starts(VIDEO)
    for expert in DIMS:
        for row in read(features, expert, video_ids=[VIDEO]).to_pylist():
            shot = 0
            while shot + 1 < len(starts) and starts[shot + 1] <= row["start_seconds"]:
                shot += 1
            found.setdefault(str(shot), {}).setdefault(expert, []).append(row["embedding"])
    return {shot: {e: np.array(rows) for e, rows in experts.items()} for shot, experts in found.items()}


def test_a_shot_is_scored_as_a_video_of_its_own(features: Path, run: RunFolder, tmp_path: Path) -> None:
    steps = steps_of_shots(features)
    assert {shot: len(experts["clip"]) for shot, experts in steps.items()} == {"0": 1, "1": 2, "3": 2}
    sources = [
        Source(name, dim, lambda shot, name=name: steps[shot].get(name), {"version": 1, "random_seed": None})
        for name, dim in DIMS.items()
    ]
    write_store(tmp_path / "shots", list(steps), sources, options={})
    expected = predict_store(run, tmp_path / "shots", hardware=CPU)
    found = SceneScorer(run, features, hardware=CPU).shots(VIDEO)
    assert found.known.tolist() == [True, True, False, True, False] and found.genres == expected.genres
    np.testing.assert_allclose(found.scores[found.known], expected.scores, atol=1e-5)
    assert np.ptp(expected.scores, axis=0).max() > 0.01, "shots differ"
    whole = predict_store(run, features, hardware=CPU)
    np.testing.assert_allclose(found.whole, whole.scores[whole.ids.index(VIDEO)], atol=1e-6)
    assert found.start_seconds.tolist() == list(shot_starts(VIDEO))
    assert found.end_seconds.tolist() == [start + 1.5 for start in shot_starts(VIDEO)]


def test_the_last_part_of_an_id_is_enough(features: Path, run: RunFolder) -> None:
    assert SceneScorer(run, features, hardware=CPU).shots("011").video_id == VIDEO


def test_what_has_no_shots_is_refused(features: Path, run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing of video 'films/999' .*, as 'films/000' has"):
        SceneScorer(run, features, hardware=CPU).shots("films/999")
    with pytest.raises(DataError, match="no shots of 'films/003'"):
        SceneScorer(run, features, hardware=CPU).shots(WITHOUT_SHOTS)
    bare, _ = genre_store(tmp_path)
    with pytest.raises(DataError, match=r"has no table 'scenes'.*extract with --experts scenes"):
        SceneScorer(run, bare, hardware=CPU).shots(VIDEO)


@pytest.fixture(scope="module")
def per_sequence(features: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Sequences of two clips, three at most."""
    sizes = {"clips": 2, "sequences": 3, "width": 8, "clip_width": 4, "sequence_width": 8, "hidden": 8}
    options: dict[str, dict[str, Any]] = {
        "model": {**sizes, "bottleneck_width": 8, "per_sequence": True},
        "training": {"epochs": 1, "batch_size": 8},
    }
    choices = choose(model="mmx", options=options)
    labels = features.parent / "labels.csv"
    return fit(FitConfig(features, labels, tmp_path_factory.mktemp("runs") / "mmx", choices, CPU))  # type: ignore[arg-type]


def test_sequences_of_shots_are_scored_where_the_model_does(features: Path, per_sequence: RunFolder) -> None:
    model: Any = per_sequence.load_model()
    found = SceneScorer(per_sequence, features, hardware=CPU).sequences(VIDEO)
    (batch,) = batches_of(per_sequence, model, features, [VIDEO])
    with torch.no_grad():
        logits, there = model.sequence_logits(batch)
    assert there[0].tolist() == [True, True, False], "the shots 0 and 1, then 3: in two nothing begins"
    np.testing.assert_allclose(found.scores, logits[0, :2].sigmoid(), atol=1e-6)
    np.testing.assert_allclose(found.scores.mean(axis=0), found.whole, atol=1e-6)
    starts = shot_starts(VIDEO)
    assert found.start_seconds.tolist() == [starts[0], starts[3]]
    assert found.end_seconds.tolist() == [starts[1] + 1.5, starts[3] + 1.5]
    assert "2 sequences of shots" in found.about


def test_sequences_of_another_model_are_refused(features: Path, run: RunFolder) -> None:
    with pytest.raises(UsageError, match=r"of 'single-transformer'.*--preset fish2021/per-sequence"):
        SceneScorer(run, features, hardware=CPU).sequences(VIDEO)


SCORES = SceneScores(
    "a <b>&</b>",
    ("action", "<i>", "drama"),
    np.array([0.0, 1.0, 3.0]),
    np.array([1.0, 3.0, 63.5]),
    np.array([[0.9, 0.1, 0.6], [np.nan] * 3, [0.2, 0.3, 0.4]], np.float32),
    np.array([0.5, 0.25, 0.75], np.float32),
)


def test_genres_are_named_from_the_threshold_on_or_the_best() -> None:
    named = [[genre for genre, _ in genres] for genres in SCORES.best()]
    assert named == [["action", "drama"], [], ["drama"]]


def test_genres_are_in_the_order_of_the_scores_beside_them() -> None:
    ordered = SCORES.by_score()
    assert ordered.genres == ("drama", "action", "<i>")
    np.testing.assert_array_equal(ordered.scores[0], np.array([0.6, 0.9, 0.1], np.float32))
    assert ordered.whole.tolist() == [0.75, 0.5, 0.25]


def test_the_table_has_a_row_for_each_shot(tmp_path: Path) -> None:
    SCORES.write(tmp_path / "scenes.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "scenes.csv").read_text("utf-8"))))
    assert rows == [
        ["scene", "start_seconds", "end_seconds", "action", "<i>", "drama"],
        ["0", "0.0", "1.0", "0.900000", "0.100000", "0.600000"],
        ["1", "1.0", "3.0", "", "", ""],
        ["2", "3.0", "63.5", "0.200000", "0.300000", "0.400000"],
    ]


def test_the_picture_has_the_shots_the_genres_and_the_name_as_text(tmp_path: Path) -> None:
    SCORES.write(tmp_path / "scenes.svg")
    root = ElementTree.parse(tmp_path / "scenes.svg").getroot()
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"a <b>&</b>: genres over time", "<i>", "drama", "action", "0.75", "0:30", "1:00"} <= texts
    assert not {element.tag.rpartition("}")[2] for element in root.iter()} & {"b", "i", "script", "image"}
