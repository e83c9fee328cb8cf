"""A figure of every genre, the most common first: a row for each genre, a column for each training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from train.comparison.measured import Measured
from train.comparison.paper import PaperTable
from train.comparison.results import NO_VALUE, Made, Results, same_videos
from train.evaluation.svg import grouped
from train.evaluation.tables import Estimate, TableRow


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    figures = paper_table.terms or {paper_table.label: paper_table.figure}
    support, chance = results.some.support, results.some.by_genre
    genres = sorted(support, key=lambda genre: (-support[genre], genre))
    trained = results.config.rows(paper_table)
    series = {
        _column(row.name, label, figures): genre_estimates(results, results.of(row.cell), genres, figure)
        for row in trained
        for label, figure in figures.items()
    }
    random = {label: [chance[genre][figure].random for genre in genres] for label, figure in figures.items()}
    rows: list[TableRow] = []
    for place, genre in enumerate(genres):
        blind = (Estimate(values[place]) for values in random.values())
        rows.append((genre, (support[genre], *(column[place] for column in series.values()), *blind)))
    table = results.table(
        paper_table,
        ("videos", *series, *(_column("random", label, figures) for label in random)),
        rows,
        _below(results, [results.of(row.cell) for row in trained], list(figures.values())),
        results.notes(
            paper_table,
            "Genres by the number of test videos that have them. Random: expected value of scores that see "
            "nothing.",
            decisions=any("@" in figure for figure in figures.values()),
        ),
    )
    label = list(figures)[-1]
    shown = {row.name: series[_column(row.name, label, figures)] for row in trained}
    yield Made(table, grouped(shown, genres, label=label, random=random[label]))


def _column(name: str, label: str, figures: Mapping[str, str]) -> str:
    return name if len(figures) == 1 else f"{name} {label}"


def _below(
    results: Results, trained: Sequence[Sequence[Measured]], figures: Sequence[str]
) -> tuple[TableRow, ...]:
    """The means over the genres, and how many runs there are."""
    names = [_macro(figure) for figure in figures]
    found = [results.estimates(runs) for runs in trained]
    means = [each.get(name, NO_VALUE) for each in found for name in names]
    blind = [Estimate(results.some.figures[name].random) for name in names]
    counts = [results.count(runs) for runs in trained for _ in names]
    return (("mean of the genres", ("", *means, *blind)), ("runs", ("", *counts, *("" for _ in names))))


def _macro(figure: str) -> str:
    """The mean over the genres of a figure of each."""
    base, at, threshold = figure.partition("@")
    return f"{base}_macro{at}{threshold}"


def genre_estimates(
    results: Results, runs: Sequence[Measured], genres: Sequence[str], figure: str
) -> list[Estimate]:
    """Of each genre; their intervals are of the resamples that all figures have."""
    if not runs:
        return [NO_VALUE] * len(genres)
    same = same_videos(runs)
    confidence = results.config.scoring.confidence
    found = []
    for genre in genres:
        values = [run.by_genre[genre][figure].value for run in runs]
        drawn = [run.genre_replicates[figure][run.predictions.genres.index(genre)] for run in runs]
        found.append(Estimate.of(values, drawn if same else (), confidence))
    return found
