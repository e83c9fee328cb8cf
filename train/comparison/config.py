"""What a comparison is asked: whose tables, of which runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from extract.errors import UsageError
from extract.options import Checked, Positive, Seed
from train.comparison.measured import Measured
from train.comparison.paper import DEFAULT_PAPER, Cell, Offer, Paper, PaperRow, PaperTable, load_paper
from train.evaluation.figures import Scoring

STEPS = (1, 2, 4, 8, 16, 32, 64)  # of an expert, at most, where a table goes through them


@dataclass(frozen=True)
class CompareConfig(Checked):
    """What to compare.

    Attributes:
        out: folder of the report; the runs are below it.
        experts: tables of the store; "all" in the tables means these.
        models: for a paper whose rows go through models; the first one is that of the rows that do not.
        seeds: one training for each.
        paper: whose tables; of :func:`train.comparison.paper.paper_names`.
        tables: which of them to make, none: all; each needs its own runs, shared ones are trained once.
        steps: for a paper whose rows go through numbers of steps.
        missing: experts of the paper that the store lacks.
        baselines: further tables of the store, for the rows that name them.
        data: whatever else makes runs differ (store, labels, split, options); part of their names, so that
            runs of other data are never taken for these.
        finetune: the same of the fine-grained stage.
        scoring: how predictions are measured.
    """

    out: Path
    experts: tuple[str, ...]
    models: tuple[str, ...] = ()
    seeds: tuple[Seed, ...] = (0, 1, 2)
    paper: str = DEFAULT_PAPER
    tables: tuple[str, ...] = ()
    steps: tuple[Positive, ...] = STEPS
    missing: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    finetune: Mapping[str, Any] = field(default_factory=dict)
    scoring: Scoring = field(default_factory=Scoring)

    def __post_init__(self) -> None:
        super().__post_init__()
        needed = ("experts", "seeds", *(("models",) if self.shown.models else ()))
        for name in ("experts", "models", "seeds", "tables", "steps"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise UsageError(f"{name} contains duplicates: {', '.join(map(str, values))}")
            if not values and name in needed:
                raise UsageError(f"compare needs {name}; name at least one")
        for paper_table in self.paper_tables:
            self.rows(paper_table)

    @property
    def shown(self) -> Paper:
        return load_paper(self.paper)

    @property
    def paper_tables(self) -> tuple[PaperTable, ...]:
        return self.shown.chosen(self.tables)

    @property
    def offer(self) -> Offer:
        return Offer(self.experts, self.models, self.steps, self.missing, self.baselines)

    def rows(self, paper_table: PaperTable) -> list[PaperRow]:
        """Those that can be trained."""
        return [row for row, lack in self.all_rows(paper_table) if not lack]

    def all_rows(self, paper_table: PaperTable) -> list[tuple[PaperRow, str]]:
        """Each with why it cannot be trained, empty if it can."""
        rows = (row for make in paper_table.rows for row in make(self.offer))
        return [(row, self.offer.lacks(row.cell)) for row in rows]

    def left_out(self) -> list[str]:
        """PaperRows that cannot be trained, a line for each reason."""
        names: dict[str, dict[str, None]] = {}
        for paper_table in self.paper_tables:
            for row, lack in self.all_rows(paper_table):
                if lack:
                    names.setdefault(lack, {})[row.name] = None
        return [f"{lack}: without {', '.join(rows)}" for lack, rows in names.items()]

    def cells(self) -> Iterator[Cell]:
        """All trainings that the tables need, each once; seed by seed, so that early ones fill all rows."""
        known: dict[Cell, None] = {}
        for seed in self.seeds:
            for paper_table in self.paper_tables:
                for row in self.rows(paper_table):
                    cell = replace(row.cell, seed=seed)
                    known |= dict.fromkeys((cell.coarse, cell))
        return iter(known)

    def folder(self, cell: Cell) -> Path:
        """Named by the cell; the end stands for all that a run depends on."""
        made_of = [cell.key, dict(self.data), *([dict(self.finetune)] if cell.fine else [])]
        key = json.dumps(made_of, sort_keys=True, default=str)
        return self.out / "runs" / f"{cell.label[:80]}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class CellResult:
    """``measured`` is None where the run failed; ``error`` says why, ``by_options`` if it would again."""

    cell: Cell
    run: Path
    measured: Measured | None = None
    error: str = ""
    by_options: bool = False
