"""The benchmark of models on planted signals, at a size that takes seconds."""

from __future__ import annotations

import pytest

from bench import planted
from bench.planted import Result, measure, table, tables
from train.registry import model_class, model_options


def test_a_model_is_trained_and_measured_on_a_planted_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "TRAINING", planted.TRAINING | {"epochs": 6})
    monkeypatch.setitem(planted.PLANTED, "mean", {"videos": 200})
    (result,) = measure(["mean"], [0], genres=2, models=["mlp"])
    assert (result.plant, result.model, result.seed) == ("mean", "mlp", 0)
    assert result.value > result.random + 0.2 > 0.3


def test_the_table_has_means_and_extremes() -> None:
    results = [
        Result("order", "mlp", 0, 0.2, 0.25, 1),
        Result("order", "mlp", 1, 0.4, 0.35, 1),
        Result("order", "vit-ast", 0, 0.9, 0.25, 1),
        Result("order", "vit-ast", 1, 1.0, 0.35, 1),
    ]
    order = [
        "| genre is planted | mlp | vit-ast | random |",
        "|---|---|---|---|",
        "| (b) only in the order of steps | 0.300 (0.200 to 0.400) | 0.950 (0.900 to 1.000) | 0.300 |",
    ]
    assert table(results).splitlines() == order
    more = [Result("pattern", "ctt, span 3", 0, 0.9, 0.25, 1)]
    assert tables(results + more).split("\n\n") == ["\n".join(order), table(more)]


def test_every_plant_has_its_models_and_every_column_is_one_with_its_options() -> None:
    assert set(planted.MODELS) == set(planted.TITLES) < set(planted.PLANTED)
    for name in {name for names in planted.MODELS.values() for name in names} | set(planted.COLUMNS):
        column = planted.COLUMNS.get(name, planted.Column(name))
        assert model_class(column.model)
        model_options(column.model, column.options)
