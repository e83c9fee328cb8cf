"""The headline over the number of steps that a training saw of each expert."""

from __future__ import annotations

from collections.abc import Iterator

from train.comparison.paper import Exhibit
from train.comparison.results import NO_VALUE, Made, Results, term_of
from train.evaluation.svg import lines
from train.evaluation.tables import Estimate, Row, Table


def make(results: Results, exhibit: Exhibit) -> Iterator[Made]:
    figure, headline = term_of(results, exhibit)
    series: dict[str, list[tuple[int, Estimate]]] = {}
    rows: list[Row] = []
    for row in results.config.rows(exhibit):
        runs, steps = results.of(row.cell), row.cell.steps or 0
        estimate = results.estimates(runs).get(figure, NO_VALUE)
        series.setdefault(row.name, []).append((steps, estimate))
        rows.append((row.name, (steps, estimate, results.count(runs))))
    random = results.some.figures[figure].random
    chance: Row = ("random", ("", Estimate(random), ""))
    picture = lines(series, label=headline, steps=f"steps of the {exhibit.key} (at most)", random=random)
    columns = ("steps", headline, "runs")
    title, notes = results.title(exhibit), results.notes(exhibit)
    table = Table(exhibit.name, title, exhibit.key, columns, tuple(rows), (chance,), notes)
    yield Made(table, picture)
