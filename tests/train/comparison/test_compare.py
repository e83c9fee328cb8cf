"""The grid and its tables, with a stand-in for the training whose quality is known."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extract.errors import UsageError
from train.comparison.compare import compare, planned
from train.comparison.config import CompareConfig
from train.comparison.paper import Cell
from train.errors import Diverged, Impossible
from train.evaluation.figures import Scoring
from train.runs.run_folder import RunFolder, write_predictions
from train.runs.workers import Cluster, InThisProcess

pytestmark = pytest.mark.usefixtures("no_curves")

QUALITY = {"clip": 1.5, "ocr": 0.4, "senet": 1.0}


class Training:
    """Writes what a training would: the more of ``QUALITY`` a cell has, the better its scores."""

    def __init__(
        self, broken: Callable[[Cell], bool] = lambda cell: False, error: type[Exception] = ValueError
    ) -> None:
        self.cells: list[Cell] = []
        self.broken, self.error = broken, error

    def __call__(self, cell: Cell, folder: Path) -> None:
        self.cells.append(cell)
        if self.broken(cell):
            raise self.error("the loss is NaN\nsecond line")
        target = np.random.default_rng(0).random((120, 4)) < (0.5, 0.3, 0.2, 0.1)
        quality = sum(QUALITY[name] for name in cell.experts) * (0.2 if cell.model == "mlp" else 1)
        quality *= min(cell.steps or 64, 64) / 64
        noise = np.random.default_rng(1 + cell.seed).normal(size=target.shape)
        score = 1 / (1 + np.exp(-(noise + quality * target)))
        run = RunFolder(folder)
        write_predictions(
            run.predictions_path,
            ("a", "b", "c", "d"),
            ids=[f"v{n}" for n in range(120)],
            splits=["test"] * 120,
            targets=target,
            scores=score.astype(np.float32),
        )
        run.write_json(
            run.training_path, {"seconds": 10.0 * len(cell.experts) + cell.seed, "parameters": 1234}
        )


def config(out: Path, **options: Any) -> CompareConfig:
    known: dict[str, Any] = {
        "experts": ("clip", "ocr"),
        "models": ("multi-transformer", "mlp"),
        "seeds": (0, 1),
        "steps": (4, 64),
        "scoring": Scoring(resamples=40),
    }
    return CompareConfig(out=out, **(known | options))


def rows(path: Path, key: str) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row[key]: row for row in csv.DictReader(file)}


@dataclass(frozen=True)
class Grid:
    """All tables of two experts, two models and two seeds."""

    config: CompareConfig
    cells: list[Cell]
    report: str

    def table(self, name: str, key: str) -> dict[str, dict[str, str]]:
        return rows(self.config.out / f"{name}.csv", key)

    def value(self, cell: Cell) -> float:
        record = json.loads((self.config.folder(cell) / "metrics.json").read_text("utf-8"))
        value: float = record["figures"]["ap_macro"]["value"]
        return value


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    whole = config(tmp_path_factory.mktemp("grid"))
    training = Training()
    return Grid(whole, training.cells, compare(whole, training).read_text("utf-8"))


@pytest.mark.slow
def test_a_grid_trains_each_cell_once(grid: Grid) -> None:
    assert len(grid.cells) == len(set(grid.cells)) == 2 * (2 + 2 + 2 * 2), "Tables 1 and 3 share runs"
    for title in ("Table 1", "Table 2", "Table 3", "Figure 1"):
        assert f"## {title}" in grid.report


def test_each_expert_and_all(grid: Grid) -> None:
    table = grid.table("table1", "experts")
    assert list(table) == ["clip", "ocr", "all", "random", "genre frequencies"]
    means = {name: float(row["mAP macro"]) for name, row in table.items()}
    assert means["all"] > means["clip"] > means["ocr"] > means["random"]
    values = [grid.value(Cell(("clip",), "multi-transformer", seed)) for seed in (0, 1)]
    assert means["clip"] == pytest.approx(np.mean(values))
    assert float(table["clip"]["mAP macro std"]) == pytest.approx(np.std(values, ddof=1))
    assert float(table["clip"]["mAP macro low"]) < means["clip"] < float(table["clip"]["mAP macro high"])
    assert table["clip"]["runs"] == "2/2"


def test_each_model(grid: Grid) -> None:
    table = grid.table("table2", "model")
    assert list(table) == ["multi-transformer", "mlp", "random", "genre frequencies"]
    assert table["multi-transformer"]["mAP macro"] == grid.table("table1", "experts")["all"]["mAP macro"]
    assert table["mlp"]["parameters"] == "1,234"
    assert f"| mlp | {float(table['mlp']['mAP macro']):.3f} ± " in grid.report


def test_the_ablation_has_the_change_and_the_time(grid: Grid) -> None:
    table = grid.table("table3", "experts")
    assert list(table)[:3] == ["all", "without clip", "without ocr"]
    changes = {name: row["change of mAP macro"] for name, row in table.items()}
    assert changes["all"] == ""
    lost = float(table["without clip"]["mAP macro"]) - float(table["all"]["mAP macro"])
    assert float(changes["without clip"]) == pytest.approx(lost)
    assert float(table["without clip"]["change of mAP macro high"]) < 0
    assert float(changes["without clip"]) < float(changes["without ocr"])
    assert float(table["all"]["seconds"]) == 20.5
    assert float(table["without ocr"]["seconds"]) == 10.5


def test_steps_against_map(grid: Grid) -> None:
    with (grid.config.out / "figure1.csv").open(encoding="utf-8", newline="") as file:
        found = {(row["expert"], row["steps"]): float(row["mAP macro"]) for row in csv.DictReader(file)}
    assert found["clip", "64"] > found["clip", "4"] > found["random", ""]
    assert ">ocr<" in (grid.config.out / "figure1.svg").read_text("utf-8")
    alone = CompareConfig(grid.config.out, ("clip",), ("mlp",), seeds=(0,), tables=("steps",), steps=(4,))
    assert list(alone.cells()) == [Cell(("clip",), "mlp", 0, 4)], "only what the figure needs"


@pytest.mark.slow
def test_finished_runs_are_not_trained_again(grid: Grid) -> None:
    again = Training()
    assert compare(grid.config, again).read_text("utf-8") == grid.report
    assert again.cells == []
    more = replace(grid.config, models=("multi-transformer", "vit-ast"))
    missing = {cell.model for cell in more.cells() if not RunFolder(more.folder(cell)).finished}
    assert missing == {"vit-ast"}


def test_runs_on_other_data_are_other_runs(grid: Grid) -> None:
    other = replace(grid.config, data={"labels": "others.csv"})
    assert not {other.folder(cell) for cell in other.cells()} & {
        grid.config.folder(cell) for cell in grid.config.cells()
    }


def test_measured_anew_where_the_scoring_is_another(tmp_path: Path) -> None:
    some = config(tmp_path, tables=("models",), models=("mlp",), seeds=(0,))
    compare(some, Training())
    again = Training()
    compare(replace(some, scoring=Scoring(resamples=60, thresholds=(0.4,))), again)
    assert again.cells == []
    with np.load(some.folder(next(some.cells())) / "bootstrap.npz") as drawn:
        assert drawn["ap_macro"].shape == (60,)
        assert "f1_macro@0.4" in drawn


@pytest.mark.slow
def test_a_failure_costs_its_cell_only(tmp_path: Path) -> None:
    broken = Training(lambda cell: cell.experts == ("ocr",) or (cell.experts == ("clip",) and cell.seed == 1))
    lines: list[str] = []
    some = config(tmp_path, tables=("experts",))
    report = compare(some, broken, log=lines.append).read_text("utf-8")
    assert len(broken.cells) == 6
    assert "- multi-transformer-ocr-seed-0: ValueError: the loss is NaN\n" in report
    assert "failed: ValueError: the loss is NaN" in lines
    table = rows(tmp_path / "table1.csv", "experts")
    assert [table[name]["runs"] for name in ("clip", "ocr", "all")] == ["1/2", "0/2", "2/2"]
    assert table["ocr"]["mAP macro"] == ""
    record = json.loads((tmp_path / "cells.json").read_text("utf-8"))
    assert sum(entry["error"] is not None for entry in record) == 3
    again = Training()
    assert "failed" not in compare(some, again).read_text("utf-8")
    assert len(again.cells) == 3, "the next call tries them again"


@pytest.mark.parametrize("error", [Diverged, Impossible])
def test_a_failure_by_options_is_not_tried_again(error: type[Exception], tmp_path: Path) -> None:
    some = config(tmp_path, tables=("models",), seeds=(0,))
    first = compare(some, Training(lambda cell: cell.model == "mlp", error)).read_text("utf-8")
    again, lines = Training(), list[str]()
    assert compare(some, again, log=lines.append).read_text("utf-8") == first
    assert f"{error.__name__}: the loss is NaN (its options are at fault" in first
    assert not again.cells and any(line.endswith("mlp-clip+ocr-seed-0, not tried again") for line in lines), (
        lines
    )
    (tmp_path / "cells.json").unlink()
    assert "failed" not in compare(some, again).read_text("utf-8")


@pytest.mark.slow
def test_the_change_is_over_the_seeds_that_both_have(tmp_path: Path) -> None:
    some = config(tmp_path, tables=("ablation",))
    compare(some, Training(lambda cell: cell.experts == ("ocr",) and cell.seed == 1))
    value = Grid(some, [], "").value
    lost = value(Cell(("ocr",), some.models[0], 0)) - value(Cell(some.experts, some.models[0], 0))
    table = rows(tmp_path / "table3.csv", "experts")
    assert float(table["without clip"]["change of mAP macro"]) == pytest.approx(lost)


def test_predictions_that_cannot_be_measured_are_a_failure_too(tmp_path: Path) -> None:
    def fit(cell: Cell, folder: Path) -> None:
        Training()(cell, folder)
        if cell.model == "mlp":
            (folder / "predictions.parquet").write_bytes(b"PAR1")

    report = compare(config(tmp_path, tables=("models",), seeds=(0,)), fit).read_text("utf-8")
    assert "DataError: cannot read the predictions" in report


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"6 runs, and all failed; the first: ValueError: the loss is NaN$"):
        compare(config(tmp_path, tables=("experts",)), Training(lambda cell: True))


def test_a_stop_is_no_failure(tmp_path: Path) -> None:
    def fit(cell: Cell, folder: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(config(tmp_path), fit)


@pytest.mark.slow
def test_a_grid_that_was_stopped_goes_on_where_it_was(tmp_path: Path, grid: Grid) -> None:
    some = replace(grid.config, out=tmp_path)
    training, first = Training(), Training()

    def fit(cell: Cell, folder: Path) -> None:
        if len(first.cells) == 5:
            folder.mkdir(parents=True)
            (folder / "config.json").write_text("{}", "utf-8")  # begun, not done
            raise KeyboardInterrupt
        first(cell, folder)

    assert [state for _, state in planned(some)] == [""] * 16
    with pytest.raises(KeyboardInterrupt):
        compare(some, fit)
    assert sorted(state for _, state in planned(some)) == [""] * 10 + ["begun"] + ["done"] * 5
    report = compare(some, training).read_text("utf-8")
    assert training.cells == list(some.cells())[5:] and report == grid.report
    assert {state for _, state in planned(some)} == {"done"}


def test_the_fine_grained_stage_waits_for_its_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On workers all trainings that others go on from come first, whatever ends first."""
    waves: list[list[Cell]] = []

    class Backwards(InThisProcess):
        def run(self, tasks: Any, started: Any = None) -> Any:
            waves.append(list(tasks))
            return super().run(dict(reversed(tasks.items())), started)

    @contextmanager
    def backwards(cluster: Cluster) -> Iterator[Backwards]:
        yield Backwards()

    monkeypatch.setattr("train.comparison.compare.crew", backwards)
    some = CompareConfig(tmp_path, ("senet",), paper="fish2021", tables=("silhouette",), seeds=(0, 1))
    training = Training()
    compare(some, training, cluster=Cluster(gpus="0,1"))
    assert [[cell.fine for cell in wave] for wave in waves] == [[False, False], [True, True]]
    assert [cell.seed for cell in training.cells] == [1, 0, 1, 0]


def test_rows_of_different_videos_say_so(tmp_path: Path) -> None:
    def fit(cell: Cell, folder: Path) -> None:
        Training()(cell, folder)
        if cell.model == "mlp":
            target = np.eye(4, dtype=bool)
            path = folder / "predictions.parquet"
            ids, splits = list("wxyz"), ["test"] * 4
            scores = np.full((4, 4), 0.5, np.float32)
            write_predictions(path, tuple("abcd"), ids=ids, splits=splits, targets=target, scores=scores)

    report = compare(config(tmp_path, tables=("models",), seeds=(0,)), fit).read_text("utf-8")
    assert "measured on different test videos (4, 120 of them)" in report


def test_a_single_seed_shows_its_interval(tmp_path: Path) -> None:
    report = compare(config(tmp_path, tables=("models",), seeds=(5,)), Training()).read_text("utf-8")
    row = rows(tmp_path / "table2.csv", "model")["mlp"]
    mean, low, high = (float(row[f"mAP macro{part}"]) for part in ("", " low", " high"))
    assert f"| mlp | {mean:.3f} [{low:.3f}, {high:.3f}] |" in report
    assert row["mAP macro std"] == ""


def test_what_a_cell_sets() -> None:
    cell = Cell(("clip", "ocr"), "mlp", 3, steps=8)
    even = {"cap": 8, "how": "equidistant"}
    assert cell.options == {"training": {"seed": 3}, "clip": even, "ocr": even}
    assert Cell(("clip",), "mlp", 3).options == {"training": {"seed": 3}}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"experts": ("clip", "clip")}, "experts contains duplicates: clip, clip"),
        ({"models": ()}, "compare needs models"),
        ({"tables": ("expert",)}, "no table 'expert'; there are experts, models, ablation, steps"),
        ({"steps": (0, 4)}, "steps is 0; at least 1 is needed"),
        ({"experts": ("clip",)}, "at least two experts"),
    ],
)
def test_a_grid_checks_itself(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(tmp_path, **options)
