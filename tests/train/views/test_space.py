"""The map of a run: its vectors, scores and labels, and what is written of it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from extract.errors import UsageError
from tests.train.views.conftest import CPU
from tests.train.views.test_page import Elements
from train.errors import DataError
from train.evaluation.evaluate import read_predictions
from train.labels.table import read_labels
from train.runs.embeddings import embed_store
from train.runs.predict import predict_store
from train.runs.run_folder import RunFolder
from train.views import space
from train.views.projection import project
from train.views.space import MapOptions, VideoMap, map_of

TSNE = MapOptions(methods=("tsne",))


@pytest.fixture(scope="module")
def found(features: Path, run: RunFolder) -> VideoMap:
    return map_of(run, features, options=TSNE, hardware=CPU)


@pytest.mark.slow
def test_places_are_of_the_models_vectors_and_scores_are_its_predictions(
    found: VideoMap, features: Path, run: RunFolder
) -> None:
    ids, vectors = embed_store(run, features, hardware=CPU)
    assert list(found.ids) == ids and list(found.places) == ["t-SNE"]
    apart = np.abs(found.places["t-SNE"] - project(vectors, "tsne"))
    assert np.median(apart) < 1e-3  # roundings of other batches move some points of t-SNE
    predicted = predict_store(run, features, hardware=CPU)
    columns = [predicted.genres.index(genre) for genre in found.genres]
    np.testing.assert_allclose(found.scores, predicted.scores[:, columns], atol=1e-6)


def test_without_labels_those_of_the_run_are_shown(found: VideoMap, run: RunFolder) -> None:
    predictions = read_predictions(run.predictions_path, split=None)
    target = np.asarray(predictions.target, bool)
    columns = [predictions.genres.index(genre) for genre in found.genres]
    rows = [predictions.ids.index(name) for name in found.ids]
    assert found.labelled.all() and np.array_equal(found.matrix, target[rows][:, columns])
    counts = found.matrix.sum(axis=0).tolist()
    assert counts == sorted(counts, reverse=True), "the most common genre first"


def test_videos_without_a_label_show_what_is_predicted(
    features: Path, run: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text('film,tags\n000,"drama"\n001,"opera|comedy"\n002,[]\n', "utf-8")
    from train.labels.table import LabelColumns

    genres = run.config()["genres"]
    labels = read_labels(tmp_path / "labels.csv", LabelColumns("film", "tags"), vocabulary=genres)
    some = map_of(run, features, labels=labels, options=TSNE, hardware=CPU)
    assert some.labelled.tolist() == [True] * 3 + [False] * 45
    shown = [{some.genres[i] for i in np.flatnonzero(row)} for row in some.matrix]
    assert shown[:3] == [{"drama"}, {"comedy"}, set()] and some.likeliest[2] == -1
    best = predict_store(run, features, hardware=CPU).best(0.5)
    assert shown[3:] == [{genre for genre, _ in row} for row in best[3:]]


def test_a_part_of_the_split_or_so_many_drawn_videos(features: Path, run: RunFolder) -> None:
    said: list[str] = []
    test = map_of(run, features, options=MapOptions(("tsne",), part="test"), hardware=CPU)
    assert set(test.ids) == set(read_predictions(run.predictions_path, split="test").ids)
    drawn = MapOptions(("tsne",), most_videos=12, seed=3)
    few = map_of(run, features, options=drawn, hardware=CPU, log=said.append)
    assert len(few.ids) == 12 and list(few.ids) == sorted(few.ids)
    assert said[0] == "48 videos: 12 of them are shown (--most-videos)"
    again = map_of(run, features, options=drawn, hardware=CPU)
    assert again.ids == few.ids and np.array_equal(again.places["t-SNE"], few.places["t-SNE"])
    with pytest.raises(DataError, match="has no video of the split 'dev'; it has test, train, validation"):
        map_of(run, features, options=MapOptions(("tsne",), part="dev"), hardware=CPU)
    with pytest.raises(DataError, match="a map needs 5 videos or more, there are 4"):
        map_of(run, features, options=MapOptions(("tsne",), most_videos=4), hardware=CPU)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"neighbours": 1}, "--neighbours is 1"), ({"most_videos": 0}, "--most-videos is 0")],
)
def test_options_are_checked(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        MapOptions(("tsne",), **options)


def hand_made(names: tuple[str, ...], genres: tuple[str, ...]) -> VideoMap:
    """A map of names and genres: the video i has the genre i, the last one is not labelled."""
    count = len(names)
    angles = 2 * np.pi * np.arange(count) / count
    circle = np.stack([np.cos(angles), 0.5 * np.sin(angles)], axis=1)
    matrix = np.arange(count)[:, None] % len(genres) == np.arange(len(genres))
    return VideoMap(
        title="a <i>run</i>",
        about="by hand",
        ids=names,
        genres=genres,
        places={"t-SNE": circle, "UMAP": -circle},
        scores=np.where(matrix, 0.75, 0.25).astype(np.float32),
        matrix=matrix,
        labelled=np.arange(count) < count - 1,
    )


def test_the_page_has_the_map_as_data() -> None:
    made = hand_made(("a", "b", "c"), ("x", "y"))
    (raw,) = (text for _, text in Elements(made.html().decode()).raw if text.startswith("{"))
    data = json.loads(raw)
    assert data["names"] == ["a", "b", "c"] and data["genres"] == ["x", "y"]
    assert data["labels"] == [[0], [1], None] and data["predicted"] == [None, None, [0]]
    assert data["scores"] == [[0.75, 0.25], [0.25, 0.75], [0.75, 0.25]]
    assert data["positions"]["t-SNE"] == [[1.0, -0.5, -0.5], [0.0, 0.433, -0.433]]


def test_the_table_can_be_read_as_labels(tmp_path: Path) -> None:
    made = hand_made(("a", "b", "c"), ("x|y", "z"))
    made.write(tmp_path / "map.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "map.csv").read_text("utf-8"))))
    assert rows[1] == {
        "video_id": "b", "genres": '["z"]', "labelled": "True",
        "tsne_x": "-0.5", "tsne_y": "0.433013", "umap_x": "0.5", "umap_y": "-0.433013",
    }  # fmt: skip
    assert np.array_equal(read_labels(tmp_path / "map.csv").matrix, made.matrix)


@pytest.mark.slow
def test_the_picture_has_a_point_for_each_video_and_names_only_as_text(tmp_path: Path) -> None:
    genres = ("</svg><script>", "$x^2$", *(f"genre {i}" for i in range(10)))
    made = hand_made(tuple(f"film {i}" for i in range(30)), genres)
    made.write(tmp_path / "map.svg")
    root = ElementTree.parse(tmp_path / "map.svg").getroot()
    tags = Counter(element.tag.rpartition("}")[2] for element in root.iter())
    assert tags["use"] >= 2 * 30 and not {"script", "image", "a"} & set(tags)
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"t-SNE", "UMAP", "</svg><script> (3)", "$x^2$ (3)", "no label: predicted"} <= texts
    made.write(tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "map.svg").read_bytes()


def test_the_legend_counts_videos_without_a_genre(tmp_path: Path) -> None:
    made = hand_made(("a", "b", "c"), ("x", "y"))
    bare = replace(made, matrix=made.matrix & np.array([[True], [False], [True]]))
    for found, expected in ((made, False), (bare, True)):
        found.write(tmp_path / "map.svg")
        assert ("no genre (1)" in (tmp_path / "map.svg").read_text("utf-8")) == expected


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"map.png'.*ends in .html, .svg or .csv"):
        hand_made(("a", "b"), ("x",)).write(tmp_path / "map.png")
    assert not list(tmp_path.iterdir())


def test_a_run_without_predictions_has_no_labels(features: Path, run: RunFolder, tmp_path: Path) -> None:
    for path in (run.config_path, run.model_path, run.normalisation_path):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    matrix, labelled = space._labels(RunFolder(tmp_path), ("x", "y"), ["films/000", "films/001"], None)
    assert not matrix.any() and labelled.tolist() == [False, False]


def test_a_page_has_pictures_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "VIDEOS_OF_A_PIECE", 2)
    made = hand_made(("a", "b", "c"), ("x", "y"))
    for pictures, expected in (({}, []), ({"b": "QQ=="}, [[None, "QQ=="], [None]])):
        raw = Elements(replace(made, pictures=pictures).html().decode()).raw
        assert [json.loads(text) for _, text in raw if text.startswith("[")] == expected
