"""The headline over the number of steps that a training saw of each expert."""

from __future__ import annotations

from collections.abc import Iterator

from train.comparison.paper import PaperTable
from train.comparison.results import NO_VALUE, Made, Results, term_of
from train.evaluation.svg import lines
from train.evaluation.tables import Estimate, Table, TableRow


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    figure, headline = term_of(results, paper_table)
    what = paper_table.label or "steps"
    series: dict[str, list[tuple[int, Estimate]]] = {}
    rows: list[TableRow] = []
    for row in results.config.rows(paper_table):
        runs, steps = results.of(row.cell), row.cell.steps or 0
        estimate = results.estimates(runs).get(figure, NO_VALUE)
        series.setdefault(row.name, []).append((steps, estimate))
        rows.append((row.name, (steps, estimate, results.count(runs))))
    random = results.some.figures[figure].random
    chance: TableRow = ("random", ("", Estimate(random), ""))
    picture = lines(series, label=headline, steps=f"{what} of the {paper_table.key} (at most)", random=random)
    columns = (what, headline, "runs")
    title, notes = results.title(paper_table), results.notes(paper_table)
    table = Table(paper_table.name, title, paper_table.key, columns, tuple(rows), (chance,), notes)
    yield Made(table, picture)
