"""The benchmark of models on planted signals, at a size that takes seconds."""

from __future__ import annotations

import pytest

from bench import planted
from bench.planted import Result, measure, table


def test_a_model_is_trained_and_measured_on_a_planted_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "TRAINING", planted.TRAINING | {"epochs": 6})
    monkeypatch.setattr(planted, "FILMS", {"mean": 200})
    (result,) = measure(["mean"], ["mlp"], [0], genres=2)
    assert (result.plant, result.model, result.seed) == ("mean", "mlp", 0)
    assert result.value > result.random + 0.2 > 0.3


def test_the_table_has_means_and_extremes() -> None:
    results = [
        Result("order", "mlp", 0, 0.2, 0.25, 1),
        Result("order", "mlp", 1, 0.4, 0.35, 1),
        Result("order", "vit-ast", 0, 0.9, 0.25, 1),
        Result("order", "vit-ast", 1, 1.0, 0.35, 1),
    ]
    assert table(results).splitlines() == [
        "| genre is planted | mlp | vit-ast | random |",
        "|---|---|---|---|",
        "| (b) only in the order of steps | 0.300 (0.200 to 0.400) | 0.950 (0.900 to 1.000) | 0.300 |",
    ]


def test_every_variant_is_of_a_model_with_its_options() -> None:
    from train.registry import model_options

    for name, options in planted.VARIANTS.values():
        model_options(name, options)
