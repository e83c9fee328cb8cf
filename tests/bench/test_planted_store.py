"""What is planted is there, and nothing else that would give the genres away."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import planted_store
from bench.planted_labels import TRAILERS, draw_labels, draw_subgenres, genre_counts
from bench.planted_store import EXPERTS, MISSING, PAIRS, SUBGENRES, Planted, write_planted
from train.labels.matching import match
from train.labels.table import LabelColumns, read_labels
from train.loading.features import FeatureSet
from train.loading.stream import Loader

VIDEOS, GENRES = 600, 3


def features(
    plant: planted_store.Plant, genres: int = GENRES, **how: Any
) -> tuple[NDArray[np.bool_], dict[str, list[Any]]]:
    matrix = draw_labels(VIDEOS, most=genres)[1]
    planted = Planted(plant, VIDEOS, genres, **how)
    ids = [f"film{i:06d}" for i in range(VIDEOS)]
    return matrix, {e: [planted_store._vectors(planted, e, matrix, name) for name in ids] for e in EXPERTS}


def accuracy(inputs: NDArray[Any], matrix: NDArray[np.bool_]) -> float:
    """Balanced, of a linear model on films that it has not seen; the worst genre. Chance is 0.5."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import balanced_accuracy_score

    half = len(inputs) // 2
    scores = []
    for genre in matrix.T:
        model = RidgeClassifier(class_weight="balanced").fit(inputs[:half], genre[:half])
        scores.append(balanced_accuracy_score(genre[half:], model.predict(inputs[half:])))
    return float(min(scores))


def most(inputs: NDArray[Any], matrix: NDArray[np.bool_]) -> float:
    return max(accuracy(inputs, matrix[:, [i]]) for i in range(matrix.shape[1]))


def means(values: list[Any]) -> NDArray[Any]:
    return np.array([steps.mean(axis=0) for steps in values])


def test_mean_is_in_the_mean_of_each_expert() -> None:
    matrix, values = features("mean")
    for steps in values.values():
        assert accuracy(means(steps), matrix) > 0.85


def test_order_is_in_the_halves_and_not_in_the_steps_as_a_set() -> None:
    matrix, values = features("order")
    for steps in values.values():
        halves = np.array([s[: len(s) // 2].mean(axis=0) - s[len(s) // 2 :].mean(axis=0) for s in steps])
        assert accuracy(halves, matrix) > 0.85
        as_a_set = [
            np.concatenate([s.mean(axis=0), s.std(axis=0), s.max(axis=0), s.min(axis=0)]) for s in steps
        ]
        assert most(np.array(as_a_set), matrix) < 0.62


def test_pair_is_in_the_product_of_two_experts_and_in_neither_alone() -> None:
    matrix, values = features("pair")
    both = [means(steps) for steps in values.values()]
    assert most(np.concatenate(both, axis=1), matrix) < 0.62
    signs = [
        mean @ planted_store._directions(0, expert, GENRES)[0].T
        for expert, mean in zip(EXPERTS, both, strict=True)
    ]
    assert accuracy(signs[0] * signs[1], matrix) > 0.85


def test_missing_lacks_each_expert_for_three_in_ten_and_never_both() -> None:
    matrix, values = features("missing")
    gone = np.array([[steps is None for steps in values[expert]] for expert in EXPERTS])
    assert np.abs(gone.mean(axis=1) - MISSING).max() < 0.06
    assert not gone.all(axis=0).any()
    present = [i for i in range(VIDEOS) if not gone[0, i]]
    assert accuracy(means([values["pictures"][i] for i in present]), matrix[present]) > 0.85


def test_pattern_is_in_two_steps_in_a_row_and_not_in_the_steps_as_a_set() -> None:
    matrix, values = features("pattern", strength=4.0)
    for expert, steps in values.items():
        first, second = planted_store._directions(0, expert, GENRES)
        ahead = [(s[:-1] @ first.T + s[1:] @ second.T).max(axis=0) for s in steps]
        behind = [(s[:-1] @ second.T + s[1:] @ first.T).max(axis=0) for s in steps]
        assert accuracy(np.array(ahead) - np.array(behind), matrix) > 0.85
        single = [np.concatenate([(s @ first.T).max(axis=0), (s @ second.T).max(axis=0)]) for s in steps]
        assert most(np.array(single), matrix) < 0.62
        as_a_set = [
            np.concatenate([s.mean(axis=0), s.std(axis=0), s.max(axis=0), s.min(axis=0)]) for s in steps
        ]
        assert most(np.array(as_a_set), matrix) < 0.62


def test_gate_is_in_many_products_of_two_experts_at_one_time() -> None:
    matrix, values = features("gate", genres=2, steps=(4, 4))
    both = [means(steps) for steps in values.values()]
    assert most(np.concatenate(both, axis=1), matrix) < 0.62
    seen = [
        [np.tensordot(s, planted_store._directions(0, expert, 2, PAIRS), (1, 2)) for s in steps]
        for expert, steps in values.items()
    ]  # each (time, pairs, genres)
    together = np.array([(a * b).mean(axis=0) for a, b in zip(*seen, strict=True)])
    assert accuracy(together.mean(axis=1), matrix) > 0.99
    assert most(together[:, 0], matrix) < 0.95, "one pair alone says less"


def test_subgenres_are_one_of_each_genre_in_the_mean_and_in_no_label(tmp_path: Path) -> None:
    genres, matrix = draw_labels(VIDEOS, most=GENRES)
    names, of = draw_subgenres(genres, matrix, each=SUBGENRES)
    assert names[0] == f"{genres[0]} 1" and len(names) == GENRES * SUBGENRES == of.shape[1]
    np.testing.assert_array_equal(of.reshape(VIDEOS, GENRES, SUBGENRES).sum(axis=2), matrix)
    assert (
        np.abs(of.sum(axis=0).reshape(GENRES, -1) / matrix.sum(axis=0)[:, None] - 1 / SUBGENRES).max() < 0.1
    )
    planted = Planted("subgenres", VIDEOS, GENRES, strength=2.0)
    wide = np.concatenate([matrix, of], axis=1)
    for expert in EXPERTS:
        steps = [planted_store._vectors(planted, expert, wide, f"film{i:06d}") for i in range(VIDEOS)]
        assert accuracy(means(steps), of) > 0.95
    write_planted(tmp_path, Planted("subgenres", 80, GENRES))
    table, hidden = (read_labels(tmp_path / name) for name in ("labels.csv", "subgenres.csv"))
    assert set(table.genres) <= set(genres) and set(hidden.genres) <= set(names)
    assert hidden.ids == table.ids and (hidden.matrix.sum(axis=1) == table.matrix.sum(axis=1)).all()


def test_a_written_store_has_its_labels(tmp_path: Path) -> None:
    planted = Planted("missing", videos=150, seed=4)
    out, table = write_planted(tmp_path, planted)
    labels = match(read_labels(table), FeatureSet.open(out).ids)
    assert len(labels.ids) == 150 and not labels.notes[:-1]
    matrix = draw_labels(150, seed=4)[1]
    (first, *_) = Loader(FeatureSet.open(out), labels.ids)
    for expert in EXPERTS:
        stored = planted_store._vectors(planted, expert, matrix, "film000000")
        assert bool(first.present[expert][0]) == (stored is not None)
        if stored is not None:
            found = first.features[expert][0, : len(stored)].numpy()
            np.testing.assert_array_equal(found, stored.astype(np.float16).astype(np.float32))
    with table.open() as file:
        genres = {row["video_id"]: json.loads(row["genres"]) for row in csv.DictReader(file)}
    assert [len(genres[f"film{i:06d}"]) for i in range(150)] == matrix.sum(axis=1).tolist()


def test_genres_come_in_their_frequencies_and_combinations() -> None:
    genres, counts = genre_counts()
    drawn, matrix = draw_labels(20_000, seed=1)
    assert drawn == genres and len(genres) == 21
    np.testing.assert_allclose(matrix.mean(axis=0), counts.diagonal() / TRAILERS, atol=0.015)
    pairs = np.triu_indices(21, 1)
    together = matrix.T.astype(float) @ matrix / len(matrix)
    assert np.corrcoef(together[pairs], counts[pairs] / TRAILERS)[0, 1] > 0.857
    assert draw_labels(500, most=2)[0] == ("Comedy", "Drama")


def test_the_built_in_counts_are_those_of_the_published_table(shared: Path) -> None:
    path = shared / "data/movienet_labels.csv"
    table = read_labels(path, LabelColumns("youtube_id"), least_videos=2)
    matrix = table.matrix.astype(np.int64)
    assert genre_counts()[0] == table.genres
    np.testing.assert_array_equal(genre_counts()[1], matrix.T @ matrix)
    drawn, own = draw_labels(3000, labels=path)
    assert drawn == table.genres
    np.testing.assert_allclose(own.mean(axis=0), table.matrix.mean(axis=0), atol=0.04)


@pytest.mark.parametrize("options", [{"plant": "colour"}, {"plant": "mean", "steps": (1, 4)}])
def test_impossible_plants_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a plant is|2 steps"):
        Planted(**options)
