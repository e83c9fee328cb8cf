"""The silhouette of the genres over the epochs of the fine-grained stage."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from train.comparison.measured import Measured
from train.comparison.paper import PaperTable
from train.comparison.results import Made, Results
from train.comparison.spaces import random_silhouette
from train.evaluation.svg import lines
from train.evaluation.tables import Estimate, Table, TableRow


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    rows: list[TableRow] = []
    series: dict[str, list[tuple[float, Estimate]]] = {}
    chance: list[float] = []
    for row in results.config.rows(paper_table):
        runs = results.of(row.cell)
        series[row.name] = _over_epochs(runs, results.config.scoring.confidence)
        count = results.count(runs)
        rows += [(row.name, (int(epoch), value, count)) for epoch, value in series[row.name]]
        chance += [random_silhouette(space) for space in results.spaces(row.cell.coarse, "validation")]
    random = float(np.mean(chance)) if chance else math.nan
    blind: TableRow = ("random", ("", Estimate(random), ""))
    several = len(results.config.seeds) > 1
    spread = results.spread("interval of the mean over the seeds (Student's t)")
    notes = (
        f"Silhouette of the genres in the validation split; epoch 0 is before the stage. "
        f"{spread if several else 'One seed has no interval.'} Random: genres dealt out to "
        "the videos at random, before the stage.",
        *results.left_out(paper_table),
    )
    columns = ("epoch", "silhouette", "runs")
    table = Table(
        paper_table.name, results.title(paper_table), paper_table.key, columns, tuple(rows), (blind,), notes
    )
    label = "silhouette of the genres"
    yield Made(table, lines(series, label=label, steps="epoch", random=random, log=False))


def _over_epochs(runs: Sequence[Measured], confidence: float) -> list[tuple[float, Estimate]]:
    histories = [_history(run.run) for run in runs]
    epochs = sorted({epoch for history in histories for epoch in history})
    return [
        (epoch, _over_seeds([history[epoch] for history in histories if epoch in history], confidence))
        for epoch in epochs
    ]


def _history(run: Path) -> dict[int, float]:
    """By epoch."""
    with (run / "silhouette.csv").open(encoding="utf-8", newline="") as file:
        return {int(row["epoch"]): float(row["silhouette"]) for row in csv.DictReader(file)}


def _over_seeds(values: Sequence[float], confidence: float) -> Estimate:
    from scipy.stats import t

    if len(values) < 2:
        return Estimate(float(np.mean(values)))
    mean, std = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(t.ppf((1 + confidence) / 2, len(values) - 1)) * std / math.sqrt(len(values))
    return Estimate(mean, std, max(mean - reach, -1.0), min(mean + reach, 1.0))
