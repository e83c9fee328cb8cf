"""Genres of single shots: the model applied to each as if it were a video, beside the whole video."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from extract.errors import count
from train.comparison.paper import PaperTable
from train.comparison.results import Made, Results, spread_over
from train.errors import DataError
from train.evaluation.tables import TableRow

SHOTS = 3  # of each video


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    (row,) = results.config.rows(paper_table)
    run = results.of(row.cell)[0]
    known, threshold = run.predictions, results.paper.threshold or 0.5
    target = np.asarray(known.target, bool)
    shots_of = results.source.shots(run.run)
    rows: list[TableRow] = []
    left_out: list[str] = []
    for video in spread_over(len(known.ids), paper_table.videos):
        name = known.ids[video]
        try:
            found = shots_of(name)
        except DataError as error:
            left_out.append(str(error))
            continue
        best = found.best(threshold)
        labels = ", ".join(known.genres[i] for i in np.flatnonzero(target[video])) or "none"
        shots = np.flatnonzero(found.known)
        for shot in (shots[i] for i in spread_over(len(shots), SHOTS)):
            said = ", ".join(f"{genre} {score:.2f}" for genre, score in best[shot])
            start, end = found.start_seconds[shot], found.end_seconds[shot]
            rows.append((name, (f"{start:.1f} to {end:.1f} s", labels, said)))
    notes = [f"Of {row.name}; genres of a score of {threshold:g} or more, or the one that comes nearest."]
    if left_out:
        notes.append(f"{count(len(left_out), 'video is', 'videos are')} left out: {left_out[0]}")
    columns = ("shot", "labels of the video", "genres of the shot")
    table = results.table(paper_table, columns, rows, (), (*notes, *results.left_out(paper_table)))
    yield Made(table)
