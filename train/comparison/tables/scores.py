"""Scores of all genres of some test videos, as bars; those that a video has stand out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from train.comparison.paper import PaperTable
from train.comparison.results import Made, Results, spread_over
from train.evaluation.svg import score_bars
from train.evaluation.tables import Estimate


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    (row,) = results.config.rows(paper_table)
    runs = results.of(row.cell)
    known = runs[0].predictions
    target = np.asarray(known.target, bool)
    mean = np.mean([np.asarray(run.predictions.score) for run in runs], axis=0)
    chosen = spread_over(len(known.ids), paper_table.videos)
    table = results.table(
        paper_table,
        ("labels", *known.genres),
        tuple(
            (
                known.ids[video],
                (
                    ", ".join(known.genres[i] for i in np.flatnonzero(target[video])) or "none",
                    *(Estimate(float(value)) for value in mean[video]),
                ),
            )
            for video in chosen
        ),
        (),
        (
            f"Scores of {row.name}, mean over the runs ({results.count(runs)}), of {len(chosen)} test videos "
            "that are evenly spread over the ids.",
            *results.left_out(paper_table),
        ),
    )
    shown = {known.ids[video]: (mean[video], target[video]) for video in chosen}
    yield Made(table, score_bars(shown, known.genres, results.paper.threshold or 0.5))
