"""A grid of runs (rows x seeds) and the tables of a paper over it, for any data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.errors import UsageError
from pipeline.atomic import atomic
from train.evaluate import Scoring
from train.measured import Measured, measured
from train.paper import DEFAULT_PAPER, Cell, Exhibit, Offer, Paper, Row, load_paper
from train.run_folder import RunFolder
from train.splits import Part

Fit = Callable[[Cell, Path], object]  # trains a cell into a run folder, or goes on with it
# Ids and vectors (videos, width) of a part of a run's videos.
Embed = Callable[[Path, Part], tuple[Sequence[str], NDArray[np.float32]]]


@dataclass(frozen=True)
class CompareConfig:
    """What to compare.

    Attributes:
        out: folder of the report; the runs are below it.
        experts: tables of the store; "all" in the tables means these.
        models: for a paper whose rows go through models; the first one is that of the rows that do not.
        seeds: one training for each.
        paper: whose tables; of :func:`train.paper.paper_names`.
        tables: which of them to make, none: all; each needs its own runs, shared ones are trained once.
        steps: for a paper whose rows go through numbers of steps.
        missing: experts of the paper that the store lacks.
        data: whatever else makes runs differ (store, labels, split, options); part of their names, so that
            runs of other data are never taken for these.
        finetune: the same of the fine-grained stage.
        scoring: how predictions are measured.
    """

    out: Path
    experts: tuple[str, ...]
    models: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    paper: str = DEFAULT_PAPER
    tables: tuple[str, ...] = ()
    steps: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    missing: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    finetune: Mapping[str, Any] = field(default_factory=dict)
    scoring: Scoring = field(default_factory=Scoring)

    def __post_init__(self) -> None:
        needed = ("experts", "seeds", *(("models",) if self.shown.models else ()))
        for name in ("experts", "models", "seeds", "tables", "steps"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise UsageError(f"{name} names something twice: {', '.join(map(str, values))}")
            if not values and name in needed:
                raise UsageError(f"compare needs {name}; name one at least")
        if min(self.steps, default=1) < 1:
            raise UsageError(f"{min(self.steps)} steps of an expert; give numbers from 1 on")
        for exhibit in self.exhibits:
            self.rows(exhibit)

    @property
    def shown(self) -> Paper:
        return load_paper(self.paper)

    @property
    def exhibits(self) -> tuple[Exhibit, ...]:
        return self.shown.chosen(self.tables)

    @property
    def offer(self) -> Offer:
        return Offer(self.experts, self.models, self.steps, self.missing)

    def rows(self, exhibit: Exhibit) -> list[Row]:
        """Those that can be trained."""
        return [row for row, lack in self.all_rows(exhibit) if not lack]

    def all_rows(self, exhibit: Exhibit) -> list[tuple[Row, str]]:
        """Each with why it cannot be trained, empty if it can."""
        rows = (row for make in exhibit.rows for row in make(self.offer))
        return [(row, self.offer.lacks(row.cell)) for row in rows]

    def left_out(self) -> list[str]:
        """Rows that cannot be trained, a line for each reason."""
        names: dict[str, dict[str, None]] = {}
        for exhibit in self.exhibits:
            for row, lack in self.all_rows(exhibit):
                if lack:
                    names.setdefault(lack, {})[row.name] = None
        return [f"{lack}: without {', '.join(rows)}" for lack, rows in names.items()]

    def cells(self) -> Iterator[Cell]:
        """All trainings that the tables need, each once; seed by seed, so that early ones fill all rows."""
        known: dict[Cell, None] = {}
        for seed in self.seeds:
            for exhibit in self.exhibits:
                for row in self.rows(exhibit):
                    cell = replace(row.cell, seed=seed)
                    known |= dict.fromkeys((cell.coarse, cell))
        return iter(known)

    def folder(self, cell: Cell) -> Path:
        """Named by the cell; the end stands for all that a run depends on."""
        made_of = [cell.key, dict(self.data), *([dict(self.finetune)] if cell.fine else [])]
        key = json.dumps(made_of, sort_keys=True, default=str)
        return self.out / "runs" / f"{cell.label[:80]}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Outcome:
    """``measured`` is None where the run failed; ``error`` says why."""

    cell: Cell
    run: Path
    measured: Measured | None = None
    error: str = ""


def compare(
    config: CompareConfig,
    fit: Fit,
    *,
    embed: Embed | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Train what is missing, measure all, write the tables; the path of the report.

    A finished run is not trained again. A run that fails is named in the report, and the others go on; the
    next call tries it again. ``embed`` is needed for tables that look at a run's space. Raises UsageError
    where the store has nothing that the tables need, and where every run failed.
    """
    from train.report import write_report

    outcomes: list[Outcome] = []
    cells = list(config.cells())
    for line in config.left_out():
        say(line)
    if not cells:
        why = "; ".join(config.left_out()) or "its rows are none"
        raise UsageError(f"nothing to train for {config.paper}: {why}")
    for number, cell in enumerate(cells, 1):
        before = ", trained before" if RunFolder(config.folder(cell)).finished else ""
        say(f"{number} of {len(cells)}: {cell.label}{before}")
        outcomes.append(_outcome(config, cell, fit))
        if outcomes[-1].error:
            say(f"failed: {outcomes[-1].error}")
        _write_cells(config, outcomes)
    if all(outcome.error for outcome in outcomes):
        raise UsageError(f"all {len(cells)} runs failed; the first: {outcomes[0].error}")
    return write_report(config, outcomes, embed)


def _outcome(config: CompareConfig, cell: Cell, fit: Fit) -> Outcome:
    run = config.folder(cell)
    try:
        if not RunFolder(run).finished:
            fit(cell, run)
        return Outcome(cell, run, measured(run, config.scoring))
    except Exception as error:  # one failure must not cost the other runs
        lines = str(error).strip().splitlines()
        return Outcome(cell, run, error=f"{type(error).__name__}: {lines[0] if lines else 'no message'}")


def _write_cells(config: CompareConfig, outcomes: list[Outcome]) -> None:
    record = [
        outcome.cell.key | {"run": outcome.run.name, "error": outcome.error or None} for outcome in outcomes
    ]
    with atomic(config.out / "cells.json") as path:
        path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
