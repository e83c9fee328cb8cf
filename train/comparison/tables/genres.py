"""A figure of every genre, the most common first: a row for each genre, a column for each training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from train.comparison.measured import Measured
from train.comparison.paper import PaperTable
from train.comparison.results import NO_VALUE, Made, Results, same_videos
from train.evaluation.svg import grouped
from train.evaluation.tables import Estimate, Table, TableRow


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    support, chance = results.some.support, results.some.by_genre
    genres = sorted(support, key=lambda genre: (-support[genre], genre))
    series = {
        row.name: _estimates(results, results.of(row.cell), genres, paper_table.figure)
        for row in results.config.rows(paper_table)
    }
    random = [chance[genre][paper_table.figure].random for genre in genres]
    rows: list[TableRow] = [
        (genre, (support[genre], *(column[place] for column in series.values()), Estimate(random[place])))
        for place, genre in enumerate(genres)
    ]
    runs = [results.of(row.cell) for row in results.config.rows(paper_table)]
    base, at, threshold = paper_table.figure.partition("@")
    macro = f"{base}_macro{at}{threshold}"
    means = [results.estimates(each).get(macro, NO_VALUE) for each in runs]
    below: tuple[TableRow, ...] = (
        ("mean of the genres", ("", *means, Estimate(results.some.figures[macro].random))),
        ("runs", ("", *(results.count(each) for each in runs), "")),
    )
    notes = results.notes(
        paper_table,
        f"{paper_table.label} of each genre, by the number of test videos that have it. Random: expected "
        "value of scores that see nothing.",
        decisions="@" in paper_table.figure,
    )
    table = Table(
        paper_table.name,
        results.title(paper_table),
        paper_table.key,
        ("videos", *series, "random"),
        tuple(rows),
        below,
        notes,
    )
    yield Made(table, grouped(series, genres, label=paper_table.label, random=random))


def _estimates(
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
