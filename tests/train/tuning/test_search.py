"""A search on a small store, with real trainings; one is killed and goes on."""

from __future__ import annotations

import csv
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

import train
from extract.errors import MissingDependency, UsageError
from tests.fixtures.genre_store import genre_store
from tests.fixtures.killed import run_killed
from train.errors import Diverged
from train.runs.run_folder import RunFolder
from train.tuning import search as module

pytestmark = pytest.mark.usefixtures("no_curves")

SMALL = {
    "training": {"epochs": 1, "batch_size": 16, "seed": 0},
    "model": {"width": 4, "layers": 1},
}
TRY = ["training.learning_rate=1e-4..1e-1:log", "model.dropout=0.1,0.3"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("search")
    genre_store(made, videos=24, experts=("clip",))
    return made


def searched(store: Path, out: Path, **more: Any) -> list[module.Tried]:
    known: dict[str, Any] = {"space": TRY, "trials": 3, "model": "mlp", "options": SMALL, "device": "cpu"}
    return train.search(out, store / "features", store / "labels.csv", **(known | more))


@pytest.mark.slow
def test_a_search_that_was_killed_finds_the_same_best_trial(store: Path, tmp_path: Path) -> None:
    command = [
        "search", "--features", str(store / "features"), "--labels",
        str(store / "labels.csv"), "--out", str(tmp_path / "killed"), "--model", "mlp", "--device", "cpu",
        "--trials", "3", *(f"--try={text}" for text in TRY),
        *(f"--set={section}.{name}={value}" for section, of in SMALL.items() for name, value in of.items()),
    ]  # fmt: skip
    done = run_killed(command, epochs=2)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "killed/trials.csv").exists()
    whole = searched(store, tmp_path / "whole")
    killed = searched(store, tmp_path / "killed")
    assert len(whole) == 3 and [t.place for t in killed] == [t.place for t in whole]
    assert [dict(t.values) for t in killed] == [dict(t.values) for t in whole]
    assert [t.reached for t in killed] == [t.reached for t in whole]
    with (tmp_path / "whole/trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == [t.place for t in whole]
    assert float(rows[0]["ap_macro"]) == max(t.reached or 0 for t in whole)


def _instead(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Trainings whose outcome is known: the higher the rate, the better, and 0.3 fails."""
    seen: list[dict[str, Any]] = []

    def reached(config: Any, values: dict[str, Any], folder: Path) -> float:
        seen.append(values)
        if values.get("model.dropout") == "0.3":
            raise Diverged("the loss is NaN\nmore")
        return float(values["training.learning_rate"])

    monkeypatch.setattr(module, "_reached", reached)
    return seen


def test_a_grid_is_gone_through_once(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _instead(monkeypatch)
    space = ["training.learning_rate=0.1,0.2", "model.dropout=0.1,0.3"]
    found = searched(store, tmp_path / "out", space=space, sampler="grid", trials=None)
    assert len(seen) == 4 and found[0].assignments == ["training.learning_rate=0.2", "model.dropout=0.1"]
    assert [t.error for t in found[2:]] == ["the loss is NaN", "the loss is NaN"]
    assert searched(store, tmp_path / "out", space=space, sampler="grid", trials=None) == found
    assert len(seen) == 4, "nothing is tried twice"


def test_what_failed_is_tried_again_unless_its_options_are_at_fault(store: Path, tmp_path: Path) -> None:
    """Real trainings: one has a file in the place of its folder, two diverge, two have an option refused."""
    out, said = tmp_path / "out", list[str]()
    space = ["training.learning_rate=1e-3,1e30", "model.dropout=0.1,0.2,2"]
    grid: dict[str, Any] = {"space": space, "sampler": "grid", "options": {"training": {"epochs": 1}}}
    searched(store, out, **grid, trials=1)
    (out / "trials/0001").touch()
    first = {tried.place: tried for tried in searched(store, out, **grid, trials=6, log=said.append)}
    assert "contains other files" in first[1].error and "dropout is 2" in first[2].error
    assert "are NaN or infinite" in first[3].error and first[0].reached is not None
    assert said[-1] == "1 trial failed by something else than options: the same command tries again"

    (out / "trials/0001").unlink()
    begun: list[str] = []
    second = {tried.place: tried for tried in searched(store, out, **grid, trials=6, log=begun.append)}
    assert [line.partition(":")[0] for line in begun] == ["2 of 6"]
    assert second[1].reached is not None and not second[1].error
    assert second | {1: first[1]} == first


def test_more_trials_go_on_and_rounds_are_drawn_together(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _instead(monkeypatch)
    space = ["training.learning_rate=1e-4..1e-1:log"]
    first = searched(store, tmp_path / "a", space=space, trials=2, sampler="random")
    more = searched(store, tmp_path / "a", space=space, trials=4, sampler="random")
    assert len(seen) == 4 and {t.place for t in first} < {t.place for t in more}
    at_once = searched(store, tmp_path / "b", space=space, trials=4, sampler="random")
    assert [t.values for t in at_once] == [t.values for t in more]


def test_what_cannot_be_searched(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _instead(monkeypatch)
    searched(store, tmp_path / "out", trials=1, options=SMALL)
    texts = {section: {name: str(value) for name, value in of.items()} for section, of in SMALL.items()}
    searched(store, tmp_path / "out", trials=1, options={**texts, "labels": {}})
    assert len(seen) == 1, "texts of a command line are the same search"
    said: list[str] = []
    searched(store, tmp_path / "out", trials=1, seed=1, log=said.append)
    assert said[0].startswith("begins anew: ") and "(seed was 0, now 1)" in said[0] and len(seen) == 2
    trained = RunFolder(tmp_path / "out/trials/0000")
    trained.checkpoints.mkdir(parents=True)
    trained.last_checkpoint.touch()
    refused = r"holds a search with different settings \(seed was 1, now 2\).* or delete it .*: rm -r .*/out"
    with pytest.raises(UsageError, match=refused):
        searched(store, tmp_path / "out", trials=1, seed=2)
    with pytest.raises(UsageError, match="sampler is 'best'"):
        searched(store, tmp_path / "b", sampler="best")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/x").touch()
    with pytest.raises(UsageError, match="contains other files"):
        searched(store, tmp_path / "c")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependency, match=r"pip install 'marquee-video\[search\]'"):
        searched(store, tmp_path / "d")
    assert not (tmp_path / "d").exists()
