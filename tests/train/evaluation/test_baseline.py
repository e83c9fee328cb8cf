"""What chance scores: against every order there is, and against drawn scores."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from train.evaluation.baseline import (
    expected_average_precision,
    expected_decisions,
    frequency_scores,
    random_figures,
)
from train.evaluation.metrics import Measures, unit_weights


@pytest.mark.parametrize(("cells", "positives"), [(1, 1), (5, 1), (6, 3), (7, 5), (4, 4), (5, 0)])
def test_average_precision_of_all_orders(cells: int, positives: int) -> None:
    score = -np.arange(cells, dtype=float)[:, None]
    areas = []
    for places in combinations(range(cells), positives):
        target = np.zeros((cells, 1), dtype=bool)
        target[list(places)] = True
        areas.append(Measures(target, score).figures(unit_weights(cells))[0]["ap_macro"][0])
    assert expected_average_precision(positives, cells) == pytest.approx(np.mean(areas), abs=1e-12)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_decisions_of_all_choices(threshold: float) -> None:
    """Five cells, two of them positive: all 32 sets of decisions, each with its chance."""
    target = np.array([True, True, False, False, False])
    expected = dict.fromkeys(("precision", "recall", "f1"), 0.0)
    for number in range(32):
        chosen = np.array([bool(number >> place & 1) for place in range(5)])
        chance = np.prod(np.where(chosen, 1 - threshold, threshold))
        hits = int((chosen & target).sum())
        expected["precision"] += chance * (hits / chosen.sum() if chosen.any() else 0)
        expected["recall"] += chance * hits / 2
        expected["f1"] += chance * 2 * hits / (chosen.sum() + 2)
    found = expected_decisions(2, 5, threshold)
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_every_figure_is_the_mean_of_drawn_scores() -> None:
    """600 draws; each mean is within five standard errors of the closed form."""
    rng = np.random.default_rng(1)
    target = rng.random((30, 5)) < rng.uniform(0.05, 0.6, 5)
    target[:, 0], target[:, 1], target[2] = False, True, False
    expected, expected_by_genre = random_figures(target, (0.5, 0.3))
    drawn = [Measures(target, rng.random(target.shape)).figures(unit_weights(30)) for _ in range(600)]
    assert set(drawn[0][0]) == set(expected)
    assert set(drawn[0][1]) == set(expected_by_genre)
    for name, value in expected.items():
        values = np.array([overall[name][0] for overall, _ in drawn])
        assert abs(values.mean() - value) <= 5 * values.std() / np.sqrt(600) + 1e-9, name
    for name, cells in expected_by_genre.items():
        table = np.array([by_genre[name][:, 0] for _, by_genre in drawn])
        error = 5 * table.std(axis=0) / np.sqrt(600) + 1e-9
        assert (np.isnan(cells) | (abs(table.mean(axis=0) - cells) <= error)).all(), name


def test_frequencies_see_nothing_of_a_video() -> None:
    target = np.array([[1, 0], [1, 1], [1, 0], [0, 0]], dtype=bool)
    score = frequency_scores(target)
    assert score.tolist() == [[0.75, 0.25]] * 4
    _, by_genre = Measures(target, score).figures(unit_weights(4))
    assert by_genre["ap"][:, 0].tolist() == [0.75, 0.25]


def test_nothing_to_find_scores_nothing() -> None:
    overall, by_genre = random_figures(np.zeros((3, 2), dtype=bool), (0.5,))
    assert overall["ap_micro"] == overall["ap_weighted"] == overall["f1_weighted@0.5"] == 0
    assert np.isnan([overall["roc_auc_macro"], overall["ap_macro_nonempty"]]).all()
    assert by_genre["ap"].tolist() == [0, 0]
