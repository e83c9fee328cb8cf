"""The benchmark of the fine-grained stage: its figures by hand, and one run of few films."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench import planted, planted_fine
from bench.planted_fine import Space, chance, measure, precision, table
from train.labels.table import LabelTable

LABELS = LabelTable(
    tuple("abcd"), ("x", "y"), np.array([[True, True], [True, False], [False, True], [True, False]])
)


def test_precision_is_the_mean_over_the_labels_of_the_queries() -> None:
    nearest = {"a": ["b", "c"], "b": ["a", "c"]}
    assert precision(LABELS, nearest) == pytest.approx((1 / 2 + 1 / 2 + 1 / 2) / 3)
    assert precision(LABELS, {"b": ["a", "d"]}) == 1
    assert precision(LABELS, {"c": ["b", "d"]}) == 0


def test_chance_is_the_precision_of_all_others() -> None:
    others = {query: [name for name in LABELS.ids if name != query] for query in "ac"}
    assert chance(LABELS, list("ac")) == pytest.approx(precision(LABELS, others))


def test_the_table_has_a_line_for_each_space() -> None:
    seeds = [
        {"random": Space(0.1, 0.3), "fine-tuned": Space(0.4, 0.6, 0.02)},
        {"random": Space(0.1, 0.3), "fine-tuned": Space(0.6, 0.6, 0.04)},
    ]
    assert table(seeds).splitlines()[2:] == [
        "| random | 0.100 (0.100 to 0.100) | 0.300 (0.300 to 0.300) |  |",
        "| fine-tuned | 0.500 (0.400 to 0.600) | 0.600 (0.600 to 0.600) | 0.030 (0.020 to 0.040) |",
    ]


def test_a_run_is_trained_and_fine_tuned_on_sub_genres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "TRAINING", planted.TRAINING | {"epochs": 2, "batch_size": 32})
    monkeypatch.setitem(planted.PLANTED, "subgenres", {"videos": 120, "strength": 3.0})
    monkeypatch.setattr(planted_fine, "STAGE", replace(planted_fine.STAGE, epochs=2, batch_size=32))
    spaces = measure(0, genres=2)
    assert list(spaces) == ["random", "trained on genres", "fine-tuned"]
    assert spaces["fine-tuned"].subgenres > spaces["random"].subgenres + 0.1
    assert -1 < spaces["fine-tuned"].silhouette < 1 and np.isnan(spaces["random"].silhouette)
