"""What trainings say of some test videos, genre by genre, against the labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from extract.errors import count
from train.comparison.measured import Measured
from train.comparison.paper import PaperTable
from train.comparison.results import Made, Results, spread_over
from train.evaluation.tables import Table


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    found = results.runs_of_a_seed(paper_table)
    title = results.title(paper_table)
    if found is None:
        notes = ("No seed has all of its rows.", *results.left_out(paper_table))
        yield Made(Table(paper_table.name, title, paper_table.key, (), (), (), notes))
        return
    seed, runs = found
    threshold = results.paper.threshold or 0.5
    known = next(iter(runs.values())).predictions
    chosen = spread_over(len(known.ids), paper_table.videos)
    said = [_said(run, chosen, threshold, paper_table.label) for run in runs.values()]
    target = np.asarray(known.target, bool)
    table = Table(
        paper_table.name,
        title,
        paper_table.key,
        ("genres", *runs),
        tuple(
            (known.ids[video], (_named(known.genres, target[video]), *(column[place] for column in said)))
            for place, video in enumerate(chosen)
        ),
        (),
        (
            f"{count(len(chosen), 'test video')}, evenly spread over the ids, of seed {seed}; genres of a "
            f"score of {threshold:g} or more. ({paper_table.label}): not among the labels.",
            *results.left_out(paper_table),
        ),
    )
    yield Made(table)


def _said(run: Measured, videos: Sequence[int], threshold: float, label: str) -> list[str]:
    known = run.predictions
    target, score = np.asarray(known.target, bool), np.asarray(known.score)
    found = []
    for video in videos:
        order = [i for i in np.argsort(-score[video], kind="stable").tolist() if score[video, i] >= threshold]
        names = [known.genres[i] + ("" if target[video, i] else f" ({label})") for i in order]
        found.append(", ".join(names) or "none")
    return found


def _named(genres: Sequence[str], has: Sequence[bool]) -> str:
    return ", ".join(genre for genre, there in zip(genres, has, strict=True) if there) or "none"
