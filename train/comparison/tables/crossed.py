"""One figure of a training for each row and each column."""

from __future__ import annotations

from collections.abc import Iterator

from train.comparison.paper import PaperTable
from train.comparison.results import NO_VALUE, Made, Results, term_of
from train.evaluation.svg import grouped
from train.evaluation.tables import Estimate, TableEntry, TableRow


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    figure, headline = term_of(results, paper_table)
    trained = results.config.rows(paper_table)
    columns, names = (
        list(dict.fromkeys(part)) for part in ([r.column for r in trained], [r.name for r in trained])
    )
    found = {
        (row.name, row.column): results.estimates(results.of(row.cell, paper_table.part)).get(
            figure, NO_VALUE
        )
        for row in trained
    }
    series = {column: [found.get((name, column), NO_VALUE) for name in names] for column in columns}
    rows: list[TableRow] = [
        (name, tuple(values[place] for values in series.values())) for place, name in enumerate(names)
    ]
    random = results.some_of(paper_table.part).figures[figure].random
    blind: tuple[TableEntry, ...] = tuple(Estimate(random) for _ in columns)
    notes = results.notes(
        paper_table,
        f"{headline}. Random: expected value of scores that see nothing.",
        decisions="@" in figure,
    )
    table = results.table(paper_table, columns, rows, (("random", blind),), notes)
    yield Made(table, grouped(series, names, label=headline, random=[random] * len(names)))
