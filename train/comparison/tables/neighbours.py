"""Retrieval among the test videos: whether what is near has a genre in common, and some that are near."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from train.comparison.paper import PaperTable
from train.comparison.results import EmbeddedVideos, Made, Results, spread_over
from train.comparison.spaces import estimate, nearest, precision, random_precision
from train.evaluation.svg import lines
from train.evaluation.tables import Estimate, Table, TableRow

AT = (1, 2, 3, 5, 10)
QUERIES, LISTED = 8, 5  # videos whose neighbours are listed, and how many of them


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    rows: list[TableRow] = []
    series: dict[str, list[tuple[float, Estimate]]] = {}
    chance: list[float] = []
    for row in results.config.rows(paper_table):
        spaces = results.spaces(row.cell)
        near = [nearest(space, max(AT)) for space in spaces]
        shares = ([precision(*pair, most) for pair in zip(spaces, near, strict=True)] for most in AT)
        found = [estimate(spaces, share, results.config.scoring) for share in shares]
        series[row.name] = list(zip(AT, found, strict=True))
        rows.append((row.name, (*found, results.count(spaces))))
        chance += [random_precision(space) for space in spaces]
    random = float(np.mean(chance)) if chance else math.nan
    blind: TableRow = ("random", (*(Estimate(random) for _ in AT), ""))
    columns = (*(f"precision at {most}" for most in AT), "runs")
    notes = results.notes(
        paper_table,
        "Share of a video's nearest other test videos, by the cosine, that have a genre in common with it. "
        "Random: neighbours drawn at random.",
        decisions=False,
    )
    table = results.table(paper_table, columns, rows, (blind,), notes)
    label = "precision"
    yield Made(table, lines(series, label=label, steps="nearest videos", random=random, log=False))
    yield from _examples(results, paper_table)


def _examples(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    """The nearest videos of some, evenly spread over the ids, of the first seed that all rows have."""
    shown = results.spaces_of_a_seed(paper_table)
    if shown is None:
        return
    seed, spaces = shown[0], list(shown[1].values())
    count = len(spaces[0].ids)
    queries = spread_over(count, QUERIES)
    listed = [_listed(space, queries) for space in spaces]
    table = Table(
        f"{paper_table.name}-videos",
        f"{paper_table.number}: nearest videos of some, seed {seed}",
        "video",
        ("genres", *shown[1]),
        tuple(
            (spaces[0].ids[query], (_genres(spaces[0], query), *(column[place] for column in listed)))
            for place, query in enumerate(queries)
        ),
    )
    yield Made(table)


def _listed(space: EmbeddedVideos, queries: Sequence[int]) -> list[str]:
    """The nearest of each query with their genres."""
    found = nearest(space, LISTED)
    return [
        "; ".join(f"{space.ids[i]} ({_genres(space, i)})" for i in found[query].tolist()) for query in queries
    ]


def _genres(space: EmbeddedVideos, video: int) -> str:
    return ", ".join(space.genres[i] for i in np.flatnonzero(space.target[video])) or "none"
