"""The silhouette of the genres over the epochs of the fine-grained stage."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from train.comparison.histories import over_epochs
from train.comparison.paper import PaperTable
from train.comparison.results import Made, Results
from train.comparison.spaces import random_silhouette
from train.evaluation.svg import lines
from train.evaluation.tables import Estimate, TableRow


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    rows: list[TableRow] = []
    series: dict[str, list[tuple[float, Estimate]]] = {}
    chance: list[float] = []
    for row in results.config.rows(paper_table):
        runs = results.of(row.cell)
        series[row.name] = over_epochs(
            runs, "silhouette.csv", "silhouette", results.config.scoring.confidence
        )
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
    table = results.table(paper_table, columns, rows, (blind,), notes)
    label = "silhouette of the genres"
    yield Made(table, lines(series, label=label, steps="epoch", random=random, log=False))
