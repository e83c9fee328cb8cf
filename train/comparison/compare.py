"""A grid of runs (rows x seeds) and the tables of a paper over it, for any data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from extract.errors import UsageError
from pipeline.storage.atomic import atomic
from train.comparison.config import CellResult, CompareConfig
from train.comparison.measured import measured
from train.comparison.paper import Cell
from train.comparison.report import write_report
from train.comparison.source import DataSource
from train.log import Log, silent
from train.runs.run_folder import RunFolder

Fit = Callable[[Cell, Path], object]  # trains a cell into a run folder, or resumes there


def compare(
    config: CompareConfig,
    fit: Fit,
    *,
    source: DataSource | None = None,
    log: Log = silent,
) -> Path:
    """Train what is missing, measure all, write the tables; the path of the report.

    A finished run is not trained again. A run that fails is named in the report, and the others go on; the
    next call tries it again. ``source`` is needed for tables that look at more than the files of
    runs. Raises UsageError where the store has nothing that the tables need, and where every run failed.
    """
    found: list[CellResult] = []
    cells = list(config.cells())
    for line in config.left_out():
        log(line)
    if not cells and all(paper_table.rows for paper_table in config.paper_tables):
        why = "; ".join(config.left_out()) or "its rows are none"
        raise UsageError(f"nothing to train for {config.paper}: {why}")
    for number, cell in enumerate(cells, 1):
        before = ", trained before" if RunFolder(config.folder(cell)).finished else ""
        log(f"{number} of {len(cells)}: {cell.label}{before}")
        found.append(_result(config, cell, fit))
        if found[-1].error:
            log(f"failed: {found[-1].error}")
        _write_cells(config, found)
    if found and all(result.error for result in found):
        raise UsageError(f"all {len(cells)} runs failed; the first: {found[0].error}")
    return write_report(config, found, source)


def _result(config: CompareConfig, cell: Cell, fit: Fit) -> CellResult:
    run = config.folder(cell)
    try:
        if not RunFolder(run).finished:
            fit(cell, run)
        return CellResult(cell, run, measured(run, config.scoring))
    except Exception as error:  # one failure must not cost the other runs
        lines = str(error).strip().splitlines()
        return CellResult(cell, run, error=f"{type(error).__name__}: {lines[0] if lines else 'no message'}")


def _write_cells(config: CompareConfig, found: list[CellResult]) -> None:
    record = [result.cell.key | {"run": result.run.name, "error": result.error or None} for result in found]
    with atomic(config.out / "cells.json") as path:
        path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
