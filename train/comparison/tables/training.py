"""How trainings went: the training loss and a figure of the validation split, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator

from train.comparison.histories import over_epochs
from train.comparison.paper import PaperTable
from train.comparison.results import NO_VALUE, Made, Results
from train.evaluation.svg import panels
from train.evaluation.tables import Estimate, Table, TableRow

FILE = "epochs.csv"
LOSS = "training loss"


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    columns = {LOSS: "training/loss", paper_table.label: f"validation/{paper_table.figure}"}
    curves: dict[str, dict[str, list[tuple[float, Estimate]]]] = {title: {} for title in columns}
    rows: list[TableRow] = []
    for row in results.config.rows(paper_table):
        runs = results.of(row.cell)
        for title, column in columns.items():
            curves[title][row.name] = over_epochs(runs, FILE, column, results.config.scoring.confidence)
        by_epoch = [dict(curves[title][row.name]) for title in columns]
        for epoch in by_epoch[0]:
            values = (each.get(epoch, NO_VALUE) for each in by_epoch)
            rows.append((row.name, (int(epoch), *values, results.count(runs))))
    several = len(results.config.seeds) > 1
    spread = results.spread("interval of the mean over the seeds (Student's t)")
    notes = (
        f"Of the training and validation splits. {spread if several else 'One seed has no interval.'} A "
        "training that stopped early has no later epochs: means are of those that came so far.",
        *results.left_out(paper_table),
    )
    names = ("epoch", *columns, "runs")
    title = results.title(paper_table)
    table = Table(paper_table.name, title, paper_table.key, names, tuple(rows), (), notes)
    yield Made(table, panels(curves, steps="epoch"))
