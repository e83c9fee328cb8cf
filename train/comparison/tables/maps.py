"""The test videos in the space of some trainings: maps side by side, and how tight the genres are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from train.comparison.paper import PaperTable
from train.comparison.results import EmbeddedVideos, Made, Results
from train.comparison.spaces import (
    estimate,
    genre_silhouettes,
    nearest,
    precision,
    random_precision,
    random_silhouette,
)
from train.evaluation.tables import Estimate, TableRow
from train.views.projection import project
from train.views.space import VideoMap, map_picture

MOST_VIDEOS = 5000  # on a map; of more, so many are drawn
NEAREST = 5


def make(results: Results, paper_table: PaperTable) -> Iterator[Made]:
    scoring = results.config.scoring
    rows: list[TableRow] = []
    chance: list[tuple[float, float]] = []
    for row in results.config.rows(paper_table):
        spaces = results.spaces(row.cell)
        silhouettes = [genre_silhouettes(space) for space in spaces]
        near = [precision(space, nearest(space, NEAREST)) for space in spaces]
        entries = (estimate(spaces, silhouettes, scoring, bounds=(-1, 1)), estimate(spaces, near, scoring))
        rows.append((row.name, (*entries, results.count(spaces))))
        chance += [(random_silhouette(space), random_precision(space)) for space in spaces]
    blind: TableRow = ("random", (*_means(chance), ""))
    shown = results.spaces_of_a_seed(paper_table)
    seed = f" The map is of seed {shown[0]}." if shown else ""
    notes = results.notes(
        paper_table,
        f"Silhouette of the genres; share of the {NEAREST} nearest videos that have a genre in common. "
        f"Random: genres dealt out to the videos at random, and neighbours drawn at random.{seed} A video is "
        "marked by the likeliest of its genres; maps of t-SNE keep what is near, not how far groups are.",
        decisions=False,
    )
    columns = ("silhouette", f"precision at {NEAREST}", "runs")
    table = results.table(paper_table, columns, rows, (blind,), notes)
    yield Made(table, _picture(shown[1]) if shown else None)


def _means(values: list[tuple[float, float]]) -> list[Estimate]:
    return [Estimate(mean) for mean in (np.mean(values, axis=0) if values else (math.nan, math.nan))]


def _picture(spaces: Mapping[str, EmbeddedVideos]) -> bytes:

    some = next(iter(spaces.values()))
    drawn = np.arange(len(some.ids))
    if len(drawn) > MOST_VIDEOS:
        drawn = np.sort(np.random.default_rng(0).choice(drawn, MOST_VIDEOS, replace=False))
    found = VideoMap(
        title="",
        about="",
        ids=tuple(some.ids[i] for i in drawn),
        genres=some.genres,
        places={name: project(space.vectors[drawn], "tsne") for name, space in spaces.items()},
        scores=some.score[drawn].astype(np.float32),
        matrix=some.target[drawn],
        labelled=np.ones(len(drawn), bool),
    )
    return map_picture(found.by_frequency())
