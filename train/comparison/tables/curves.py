"""Precision over recall of every genre: a panel for each genre or for each training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from train.comparison.measured import Measured
from train.comparison.paper import PaperTable
from train.comparison.results import Made, Results, same_videos
from train.comparison.tables.genres import genre_estimates
from train.evaluation.metrics import Measures, unit_weights
from train.evaluation.svg import panels
from train.evaluation.tables import Estimate, TableEntry, TableRow

RECALLS = np.linspace(0, 1, 101)
SHOWN = (25, 50, 75)  # of these, in the table
GENRE = "genre"  # a key for which each genre has a panel; otherwise each training has one

Curve = list[Estimate]


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    support = results.some.support
    genres = sorted(support, key=lambda genre: (-support[genre], genre))
    panels_of: dict[str, dict[str, list[tuple[float, Estimate]]]] = {}
    rows: list[TableRow] = []
    trained = {row.name: results.of(row.cell) for row in results.config.rows(paper_table)}
    found = {name: _curves(results, runs, genres) for name, runs in trained.items() if runs}
    areas = {name: genre_estimates(results, trained[name], genres, "ap") for name in found}
    for place, genre in enumerate(genres):
        for name, curves in found.items():
            by_genre = paper_table.key == GENRE
            panel, line = (genre, name) if by_genre else (name, genre)
            panels_of.setdefault(panel, {})[line] = list(zip(RECALLS.tolist(), curves[genre], strict=True))
            at: tuple[TableEntry, ...] = tuple(curves[genre][i] for i in SHOWN)
            rows.append((panel, (line, areas[name][place], *at, results.count(trained[name]))))
    order = {panel: i for i, panel in enumerate(panels_of)}
    notes = results.notes(
        paper_table,
        "Precision is that of the first place that reaches a recall. Area: average precision.",
        decisions=False,
    )
    other = "method" if paper_table.key == GENRE else GENRE
    columns = (other, "area", *(f"at recall {RECALLS[i]:.2f}" for i in SHOWN), "runs")
    table = results.table(paper_table, columns, sorted(rows, key=lambda row: order[row[0]]), (), notes)
    own = () if paper_table.key == GENRE else genres  # whose lines are genres
    picture = panels(panels_of, steps="recall (precision upwards)", limits=(0, 1.02), genres=own)
    yield Made(table, picture)


def _curves(results: Results, runs: Sequence[Measured], genres: Sequence[str]) -> dict[str, Curve]:
    """Precision at each recall by genre, the mean over the runs; NaN for a genre that no video has."""
    found = [_precision(run) for run in runs]
    order = {genre: i for i, genre in enumerate(runs[0].predictions.genres)}
    if not same_videos(runs):
        found = found[:1]
    return {
        genre: [Estimate.of([each[order[genre]][place] for each in found]) for place in range(len(RECALLS))]
        for genre in genres
    }


def _precision(run: Measured) -> list[list[float]]:
    """By genre, at each recall."""
    known = run.predictions
    ones = unit_weights(len(known.ids))
    rankings = Measures(known.target, known.score).genre_rankings
    return [ranking.precision_at(RECALLS, ones)[:, 0].tolist() for ranking in rankings]
