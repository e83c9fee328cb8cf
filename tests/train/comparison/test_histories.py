"""Figures of runs by epoch, over the seeds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from train.comparison.histories import over_epochs
from train.runs.run_folder import RunFolder


def history(folder: Path, *losses: float) -> Any:
    RunFolder(folder).write_history([{"epoch": n, "training/loss": loss} for n, loss in enumerate(losses, 1)])
    return folder


def test_means_are_of_the_runs_that_came_so_far(tmp_path: Path) -> None:
    runs: list[Any] = [
        SimpleNamespace(run=history(tmp_path / "a", 3.0, 2.0, 1.0)),
        SimpleNamespace(run=history(tmp_path / "b", 5.0, 4.0)),
    ]
    found = dict(over_epochs(runs, "epochs.csv", "training/loss", 0.95))
    assert [found[n].mean for n in (1, 2, 3)] == [4.0, 3.0, 1.0]
    assert found[1].high - found[1].mean == pytest.approx(12.706, rel=1e-3), "Student's t, one degree"


def test_the_one_network_of_a_run_has_its_epochs(tmp_path: Path) -> None:
    history(tmp_path / "run/networks/poster", 3.0)
    runs: list[Any] = [SimpleNamespace(run=tmp_path / "run")]
    assert [epoch for epoch, _ in over_epochs(runs, "epochs.csv", "training/loss", 0.95)] == [1]
    history(tmp_path / "run/networks/words", 3.0)
    assert over_epochs(runs, "epochs.csv", "training/loss", 0.95) == [], "of two it is neither"
