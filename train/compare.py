"""A grid of runs (experts x models x seeds) and the tables of Sulun et al. 2024 over it, for any data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from extract.errors import UsageError
from pipeline.atomic import atomic
from train.evaluate import Scoring
from train.measured import Measured, measured
from train.run_folder import RunFolder

TableName = Literal["experts", "models", "ablation", "steps"]
TABLES: tuple[TableName, ...] = get_args(TableName)


@dataclass(frozen=True)
class Cell:
    """One training of the grid. ``steps``: at most so many of each expert, evenly spaced; None: as set."""

    experts: tuple[str, ...]
    model: str
    seed: int
    steps: int | None = None

    @property
    def options(self) -> dict[str, dict[str, Any]]:
        """By section or expert, as ``--set`` gives them: what makes this cell differ from the others."""
        options: dict[str, dict[str, Any]] = {"training": {"seed": self.seed}}
        if self.steps is not None:
            options |= {name: {"cap": self.steps, "how": "equidistant"} for name in self.experts}
        return options

    @property
    def label(self) -> str:
        steps = "" if self.steps is None else f"-{self.steps}-steps"
        return f"{self.model}-{'+'.join(self.experts)}{steps}-seed-{self.seed}"


Fit = Callable[[Cell, Path], object]  # trains a cell into a run folder, or goes on with it


@dataclass(frozen=True)
class CompareConfig:
    """What to compare.

    Attributes:
        out: folder of the report; the runs are below it.
        experts: tables of the store; "all" in the tables means these.
        models: those of Table 2; the first one is that of the other tables.
        seeds: one training for each.
        tables: which to make; each needs its own runs, shared ones are trained once.
        steps: the numbers of steps of Figure 6.
        data: whatever else makes runs differ (store, labels, split, options); part of their names, so that
            runs of other data are never taken for these.
        scoring: how predictions are measured.
    """

    out: Path
    experts: tuple[str, ...]
    models: tuple[str, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    tables: tuple[TableName, ...] = TABLES
    steps: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    data: Mapping[str, Any] = field(default_factory=dict)
    scoring: Scoring = field(default_factory=Scoring)

    def __post_init__(self) -> None:
        for name in ("experts", "models", "seeds", "tables", "steps"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise UsageError(f"{name} names something twice: {', '.join(map(str, values))}")
            if not values and name != "steps":
                raise UsageError(f"compare needs {name}; name one at least")
        unknown = set(self.tables) - set(TABLES)
        if unknown:
            raise UsageError(f"no table {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
        if min(self.steps, default=1) < 1:
            raise UsageError(f"{min(self.steps)} steps of an expert; give numbers from 1 on")
        if "ablation" in self.tables and len(self.experts) < 2:
            raise UsageError("an ablation leaves one expert out; give two experts at least, or other tables")

    def cells(self) -> Iterator[Cell]:
        """All trainings that the tables need, each once; seed by seed, so that early ones fill all rows."""
        known: dict[Cell, None] = {}
        whole = self.models if "models" in self.tables else self.models[:1]
        for seed in self.seeds:
            for model in whole if set(self.tables) != {"steps"} else ():
                known[Cell(self.experts, model, seed)] = None
            for experts in self.subsets():
                known[Cell(experts, self.models[0], seed)] = None
            if "steps" in self.tables:
                for expert in self.experts:
                    for steps in self.steps:
                        known[Cell((expert,), self.models[0], seed, steps)] = None
        return iter(known)

    def subsets(self) -> list[tuple[str, ...]]:
        """The sets of experts of Tables 1 and 3."""
        single = [(expert,) for expert in self.experts] if "experts" in self.tables else []
        return single + (self.without() if "ablation" in self.tables else [])

    def without(self) -> list[tuple[str, ...]]:
        """All experts but one, in the order of that one."""
        return [tuple(e for e in self.experts if e != left_out) for left_out in self.experts]

    def folder(self, cell: Cell) -> Path:
        """Named by the cell; the end stands for all that a run depends on."""
        key = json.dumps([asdict(cell), dict(self.data)], sort_keys=True, default=str)
        return self.out / "runs" / f"{cell.label[:80]}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Outcome:
    """``measured`` is None where the run failed; ``error`` says why."""

    cell: Cell
    run: Path
    measured: Measured | None = None
    error: str = ""


def compare(config: CompareConfig, fit: Fit, *, say: Callable[[str], None] = lambda line: None) -> Path:
    """Train what is missing, measure all, write the tables; the path of the report.

    A finished run is not trained again. A run that fails is named in the report, and the others go on; the
    next call tries it again. Raises UsageError where every run failed.
    """
    from train.report import write_report

    outcomes: list[Outcome] = []
    cells = list(config.cells())
    for number, cell in enumerate(cells, 1):
        before = ", trained before" if RunFolder(config.folder(cell)).finished else ""
        say(f"{number} of {len(cells)}: {cell.label}{before}")
        outcomes.append(_outcome(config, cell, fit))
        if outcomes[-1].error:
            say(f"failed: {outcomes[-1].error}")
        _write_cells(config, outcomes)
    if all(outcome.error for outcome in outcomes):
        raise UsageError(f"all {len(cells)} runs failed; the first: {outcomes[0].error}")
    return write_report(config, outcomes)


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
        asdict(outcome.cell) | {"run": outcome.run.name, "error": outcome.error or None}
        for outcome in outcomes
    ]
    with atomic(config.out / "cells.json") as path:
        path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
