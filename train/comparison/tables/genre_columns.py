"""A row for each training, a column for each genre, and the figures of all genres after them."""

from __future__ import annotations

from collections.abc import Iterator

from train.comparison.paper import PaperTable
from train.comparison.results import RANDOM, Made, Results, every_genre
from train.comparison.tables.genres import genre_estimates
from train.evaluation.svg import grouped
from train.evaluation.tables import Estimate, TableRow, estimates


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    support, terms = results.some.support, results.paper.columns(paper_table)
    genres = sorted(support, key=lambda genre: (-support[genre], genre))
    empty = ("",) * (len(terms) + 1)
    rows: list[TableRow] = [("support", (*(support[genre] for genre in genres), *empty))]
    series = {}
    for row in results.config.rows(paper_table):
        runs = results.of(row.cell)
        series[row.name] = genre_estimates(results, runs, genres, paper_table.figure)
        rows.append((row.name, (*series[row.name], *results.entries(paper_table, runs))))
    overall, each = every_genre(results.some)
    blind = [Estimate(each[genre][paper_table.figure]) for genre in genres]
    averages = estimates(terms, {name: Estimate(value) for name, value in overall.items()})
    table = results.table(
        paper_table,
        (*genres, *terms, "runs"),
        rows,
        (("random", (*blind, *averages, "")),),
        results.notes(
            paper_table,
            f"{paper_table.label} of each genre, by its number of test videos. {RANDOM['every']}",
        ),
    )
    random = [entry.mean for entry in blind]
    yield Made(table, grouped(series, genres, label=paper_table.label, random=random))
