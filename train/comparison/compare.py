"""A grid of runs (rows x seeds) and the tables of a paper over it, for any data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from extract.errors import UsageError, count
from pipeline.storage.atomic import atomic
from train.comparison.config import CellResult, CompareConfig
from train.comparison.measured import measured
from train.comparison.paper import Cell
from train.comparison.report import write_report
from train.comparison.source import DataSource
from train.errors import BY_OPTIONS
from train.log import Log, silent
from train.runs.run_folder import RunFolder
from train.runs.workers import Cluster, crew

CELLS = "cells.json"  # what became of every training, in the folder of the report
Fit = Callable[[Cell, Path], object]  # trains a cell into a run folder, or resumes there


def planned(config: CompareConfig) -> list[tuple[Cell, str]]:
    """Every training that :func:`compare` would need, and how far it is: done, begun or empty."""

    def state(run: RunFolder) -> str:
        return "done" if run.finished else "begun" if run.config_path.exists() else ""

    return [(cell, state(RunFolder(config.folder(cell)))) for cell in config.cells()]


def compare(
    config: CompareConfig,
    fit: Fit,
    *,
    source: DataSource | None = None,
    cluster: Cluster = Cluster(),  # noqa: B008  # it is frozen
    log: Log = silent,
) -> Path:
    """Train what is missing, measure all, write the tables; the path of the report.

    Trainings go side by side where ``cluster`` has several workers. A finished run is not trained again. A
    run that fails is named in the report, and the others go on; the next call tries it again, unless its
    options were at fault (:data:`train.errors.BY_OPTIONS`). ``source`` is needed for tables that look at more
    than the files of runs. Raises UsageError where the store has nothing that the tables need, and where
    every run failed.
    """
    found: list[CellResult] = []
    cells = list(config.cells())
    for line in config.left_out():
        log(line)
    if not cells and all(paper_table.rows for paper_table in config.paper_tables):
        why = "; ".join(config.left_out()) or "its rows are none"
        raise UsageError(f"nothing to train for {config.paper}: {why}")
    for result in _results(config, cells, fit, cluster, log):
        found.append(result)
        if result.error:
            log(f"failed: {result.error}")
        _write_cells(config, found)
    if found and all(result.error for result in found):
        raise UsageError(f"{count(len(cells), 'run')}, and all failed; the first: {found[0].error}")
    return write_report(config, found, source)


def _results(
    config: CompareConfig, cells: Sequence[Cell], fit: Fit, cluster: Cluster, log: Log
) -> Iterator[CellResult]:
    """Of every cell; the fine-grained stages begin when the trainings are there that they go on from."""
    number = {cell: i for i, cell in enumerate(cells, 1)}

    def say(cell: Cell, more: str = "") -> None:
        log(f"{number[cell]} of {len(cells)}: {cell.label}{more}")

    todo: list[Cell] = []
    impossible = _impossible(config)
    for cell in cells:
        if RunFolder(config.folder(cell)).finished:
            say(cell, ", trained before")
            yield _measured(config, cell, None)
        elif config.folder(cell).name in impossible:
            say(cell, ", not tried again")
            why = impossible[config.folder(cell).name]
            yield CellResult(cell, config.folder(cell), error=why, by_options=True)
        else:
            todo.append(cell)
    waves = [todo] if cluster.in_process else [[c for c in todo if c.fine == fine] for fine in (False, True)]
    if not todo:
        return
    with crew(cluster) as workers:
        for wave in waves:
            tasks = {cell: partial(_fitted, fit, cell, config.folder(cell)) for cell in wave}
            for cell, error in workers.run(tasks, say):
                yield _measured(config, cell, error)


def _fitted(fit: Fit, cell: Cell, run: Path) -> None:
    fit(cell, run)


def _measured(config: CompareConfig, cell: Cell, error: Exception | None) -> CellResult:
    """What a cell's run reached, or why it has none."""
    run = config.folder(cell)
    try:
        if error is not None:
            raise error
        return CellResult(cell, run, measured(run, config.scoring))
    except Exception as reason:  # one failure must not cost the other runs
        lines = str(reason).strip().splitlines()
        said = lines[0] if lines else "no message"
        by_options = isinstance(reason, BY_OPTIONS)
        return CellResult(cell, run, error=f"{type(reason).__name__}: {said}", by_options=by_options)


def _write_cells(config: CompareConfig, found: list[CellResult]) -> None:
    record = [
        result.cell.key
        | {"run": result.run.name, "error": result.error or None, "by_options": result.by_options}
        for result in found
    ]
    with atomic(config.out / CELLS) as path:
        path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def _impossible(config: CompareConfig) -> dict[str, str]:
    """Of a call before: run -> why its options cannot be trained."""
    path = config.out / CELLS
    known = json.loads(path.read_text("utf-8")) if path.exists() else []
    return {cell["run"]: cell["error"] for cell in known if cell.get("by_options")}
