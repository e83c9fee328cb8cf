"""Where the curves of a training are shown."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from extract.errors import MissingDependency
from train.dashboards import Dashboards


def test_tensorboard_has_every_figure_at_its_step(tmp_path: Path) -> None:
    shown = Dashboards(tmp_path, None)
    shown.write(3, {"training/loss": 0.5})
    shown.write(4, {"training/loss": 0.25, "validation/map": 0.75})
    shown.close()
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    curves = {name: [(e.step, e.value) for e in read.Scalars(name)] for name in read.Tags()["scalars"]}
    assert curves == {"training/loss": [(3, 0.5), (4, 0.25)], "validation/map": [(4, 0.75)]}


def test_weights_and_biases_is_told_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    project = SimpleNamespace(
        log=lambda figures, step: told.append((step, figures)), finish=lambda: told.append("finished")
    )

    def init(**given: Any) -> SimpleNamespace:
        told.append(given)
        return project

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    shown = Dashboards(tmp_path / "first", "genres")
    shown.write(4, {"validation/map": 0.75})
    shown.close()
    named = {"project": "genres", "name": "first", "dir": tmp_path / "first"}
    assert told == [named, (4, {"validation/map": 0.75}), "finished"]
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingDependency, match=r"--wandb needs a package that is not installed: .*wandb"):
        Dashboards(tmp_path, "genres")
