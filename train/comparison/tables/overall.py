"""A row for each training with all figures of the paper; its picture shows the headline."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from train.comparison.measured import Measured
from train.comparison.paper import Cell, PaperTable
from train.comparison.results import NO_VALUE, ZERO_SHOT, Made, Results, term_of
from train.evaluation.bootstrap import interval
from train.evaluation.svg import points
from train.evaluation.tables import Estimate, Table, TableEntry, TableRow


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    rows: list[TableRow] = []
    cells = [(row.name, row.cell) for row in results.config.rows(paper_table)]
    for name, cell in cells:
        runs = results.of(cell, paper_table.part)
        more = [_more(results, kind, cell, cells[0][1], runs) for kind in paper_table.more]
        rows.append((name, (*results.entries(paper_table, runs), *more)))
    _, headline = term_of(results, paper_table)
    terms = results.paper.columns(paper_table)
    columns = (*terms, "runs", *(_column(kind, headline) for kind in paper_table.more))
    empty = ("", *("" for _ in paper_table.more))
    blind = [(name, (*entries, *empty)) for name, entries in results.baselines(paper_table)]
    notes = results.notes(paper_table)
    if any(name == ZERO_SHOT for name, _ in blind):
        notes += ("Zero-shot tags: the store's tags of the genres' names, for which nothing was trained.",)
    table = results.table(paper_table, columns, rows, blind, notes)
    yield Made(table, _picture(table, headline))


def _column(kind: str, headline: str) -> str:
    return f"change of {headline}" if kind == "change" else kind


def _more(results: Results, kind: str, cell: Cell, first: Cell, runs: Sequence[Measured]) -> TableEntry:
    """What stands in a column beside the figures."""
    if kind == "change":
        return "" if cell == first else difference(results, cell, first)
    if kind in ("extraction s", "runtime s"):
        extraction = results.source.extraction_seconds(cell.experts)
        if kind == "extraction s":
            return Estimate(extraction)
        return Estimate.of([extraction + seconds for seconds in _known(run.video_seconds for run in runs)])
    return _OF_RUNS[kind](runs)


def _known(values: Iterable[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _sizes(runs: Sequence[Measured]) -> str:
    sizes = sorted({run.parameters for run in runs if run.parameters is not None})
    return ", ".join(f"{size:,}" for size in sizes)


def _most_genres(runs: Sequence[Measured]) -> int:
    return max((int(np.sum(run.predictions.target, axis=1).max()) for run in runs), default=0)


# What a column beside the figures holds; "seconds" are of a training, "classification s" of a video.
_OF_RUNS: Mapping[str, Callable[[Sequence[Measured]], TableEntry]] = {
    "parameters": _sizes,
    "seconds": lambda runs: Estimate.of(_known(run.seconds for run in runs)),
    "classification s": lambda runs: Estimate.of(_known(run.video_seconds for run in runs)),
    "genres": lambda runs: max((len(run.predictions.genres) for run in runs), default=0),
    "labels at most": _most_genres,
}


def difference(results: Results, cell: Cell, other: Cell) -> Estimate:
    """The headline of ``cell`` minus that of ``other``, over the seeds that both have; paired interval.

    Both have the same resamples of the same videos, so the difference is taken resample by resample.
    """
    config, headline = results.config, results.paper.headline
    cells = [(replace(cell, seed=seed), replace(other, seed=seed)) for seed in config.seeds]
    pairs = [
        (results.runs[part], results.runs[whole])
        for part, whole in cells
        if part in results.runs and whole in results.runs
    ]
    if not pairs:
        return NO_VALUE
    value = float(np.mean([a.figures[headline].value - b.figures[headline].value for a, b in pairs]))
    if len({run.videos for pair in pairs for run in pair}) > 1:
        return Estimate(value)
    drawn = np.mean([a.replicates[headline] - b.replicates[headline] for a, b in pairs], axis=0)
    low, high = interval(value, drawn, confidence=config.scoring.confidence, bounds=(-1, 1))
    return Estimate(value, math.nan, float(low), float(high))


def _picture(table: Table, headline: str) -> bytes:
    """The headline column."""
    column = table.columns.index(headline)
    rows, blind = (
        [(name, entry) for name, entries in part if isinstance(entry := entries[column], Estimate)]
        for part in (table.rows, table.baselines)
    )
    return points(rows, label=headline, baselines={name: entry.mean for name, entry in blind})
