"""The comparison of loaders: samples are the same in every format, and others are noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import loader, loader_systems
from bench.loader import Result, disagreements
from bench.loader_systems import EXPERTS, Films, batch_of, ids_of, measure, write_marquee, write_pickle


@pytest.fixture(autouse=True)
def few_films(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_systems, "_POOL_ROWS", 400)


def test_store_and_pickle_give_the_same_samples(tmp_path: Path) -> None:
    write_marquee(tmp_path / "marquee", 40)
    write_pickle(tmp_path / "pickle", 40)
    found = {
        name: measure(name, tmp_path / name, batch_size=16, workers=workers, epochs=2)
        for name, workers in (("marquee", 1), ("pickle", 0))
    }
    films = Films()
    size = sum(films.sample(name)[expert].nbytes for name in ids_of(40) for expert in EXPERTS)
    for figures in found.values():
        assert (figures["samples"], figures["bytes"]) == (40, size)
        assert len(figures["pass_seconds"]) == 2 and figures["first_batch_seconds"] > 0
    results = [Result(name, 1, 0, figures, 0) for name, figures in found.items()]
    assert disagreements(results) == []
    results[1] = replace(results[1], figures={**found["pickle"], "sum": found["pickle"]["sum"] + 100})
    assert disagreements(results) == [line for line in disagreements(results) if "pickle gave other" in line]
    assert len(disagreements(results)) == 1


def test_films_have_the_size_that_is_said() -> None:
    films = Films()
    total = np.mean([sum(films.sample(name)[e].nbytes for e in EXPERTS) for name in ids_of(200)])
    assert 26_412 * total == pytest.approx(12.5e9, rel=0.06)
    batch = batch_of([films.sample(name) for name in ids_of(30)])
    assert not batch.present["ocr"].all() and batch.present["clip"].all()


def test_a_system_that_did_not_finish_says_why() -> None:
    row = Result("litdata", 2, 0, None, 5_000_000_000, "ended with status 1").row()
    assert row == "| litdata | 2 | ended with status 1 | | | | | 5.00 |"
    assert row.count("|") == loader.HEADER.splitlines()[0].count("|")
    assert disagreements([Result("litdata", 2, 0, None, 0)]) == ["no system finished"]
