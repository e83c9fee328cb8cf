"""How many videos of each part of the split have each genre, and how many genres they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from extract.errors import count
from train.comparison.paper import PaperTable
from train.comparison.results import Made, Results
from train.evaluation.tables import Table, TableEntry, TableRow
from train.labels.splits import Part

COLUMNS = {"train": "training", "validation": "validation", "test": "test"}


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    data = results.source.dataset()
    parts = [data.part(part) for part in get_args(Part)]
    rows: list[TableRow] = [
        (data.genres[genre], tuple(int(part[:, genre].sum()) for part in parts))
        for genre in sorted(data.by_frequency)
    ]
    most = max(int(part.sum(axis=1).max(initial=0)) for part in parts)
    for genres in range(most + 1):
        videos = [part.sum(axis=1) == genres for part in parts]
        if any(these.any() for these in videos):
            rows.append((count(genres, "genre"), tuple(map(_with_share, videos))))
    cardinality = [float(part.sum(axis=1).mean()) if len(part) else np.nan for part in parts]
    rows.append(("label cardinality", tuple(_two_digits(value) for value in cardinality)))
    rows.append(("label density", tuple(_two_digits(value / len(data.genres)) for value in cardinality)))
    rows.append(("movies", tuple(len(part) for part in parts)))
    notes = (
        "Labelled videos of which the store has something. Cardinality: genres of a video; density: the same "
        "divided by the number of genres.",
    )
    columns = tuple(COLUMNS[part] for part in get_args(Part))
    title = results.title(paper_table)
    yield Made(Table(paper_table.name, title, paper_table.key, columns, tuple(rows), (), notes))


def _with_share(videos: NDArray[np.bool_]) -> TableEntry:
    share = f" ({videos.mean():.2%})" if len(videos) else ""
    return f"{int(videos.sum())}{share}"


def _two_digits(value: float) -> TableEntry:
    return "" if np.isnan(value) else f"{value:.2f}"
