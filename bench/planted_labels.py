"""Genres of made-up films, in the frequencies and combinations of MovieNet's trailers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.labels.table import read_labels

TRAILERS = 26_412

# Trailers that have both genres (on the diagonal: the genre), counted in the published table of MovieNet's
# labels (trailers_genres_clean.csv of serkansulun/trailer-genre-classification).
COUNTS = """
Action 4257
Adventure 1150 2636
Animation 280 564 1212
Biography 81 76 24 1312
Comedy 918 907 502 102 8500
Crime 1106 177 46 140 789 3213
Documentary 48 92 19 454 162 76 2794
Drama 1534 778 235 851 2893 1890 290 12713
Family 183 807 636 65 1011 65 120 625 2049
Fantasy 508 794 479 9 781 60 9 559 616 1886
History 146 123 23 319 83 68 302 638 34 17 1005
Horror 506 237 69 13 605 181 20 588 27 370 12 3121
Music 17 29 34 171 289 41 319 420 75 35 62 15 957
Musical 23 107 137 16 262 15 28 186 190 113 11 25 48 498
Mystery 237 162 70 16 232 507 28 912 90 187 25 557 14 8 1802
Romance 303 300 104 165 2133 335 31 2780 219 282 137 118 209 147 196 4267
Sci-Fi 990 659 291 3 523 117 13 515 187 328 8 574 19 23 216 142 2045
Sport 113 55 20 136 181 28 195 358 87 11 40 4 8 2 0 74 9 696
Thriller 1881 547 77 91 534 1774 14 2638 39 307 82 1533 27 18 1209 419 799 14 5632
War 227 116 18 121 58 25 75 606 17 20 249 17 19 6 22 138 29 10 108 772
Western 97 87 5 22 63 29 7 152 21 12 20 21 4 7 7 70 14 5 40 16 353
"""


def genre_counts() -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The 21 genres and the symmetric matrix of :data:`COUNTS`."""
    rows = [line.split(" ") for line in COUNTS.strip().splitlines()]
    counts = np.zeros((len(rows), len(rows)), np.int64)
    for i, (_, *cells) in enumerate(rows):
        counts[i, : i + 1] = counts[: i + 1, i] = [int(cell) for cell in cells]
    return tuple(name for name, *_ in rows), counts


def draw_labels(
    videos: int, *, seed: int = 0, labels: Path | None = None, most: int | None = None
) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Genres and who has them, (videos, genres).

    Rows of the table ``labels`` drawn at random, or by default from :data:`COUNTS`: correlated normal
    variables over a threshold, so that each genre has its frequency and each pair about its correlation.
    ``most`` keeps only so many genres, the most frequent ones.
    """
    random = np.random.default_rng(seed)
    if labels is not None:
        table = read_labels(labels, least_videos=2)
        genres, matrix = table.genres, table.matrix[random.integers(0, len(table.ids), videos)]
    else:
        genres, matrix = _copula(videos, random)
    kept = np.sort(np.argsort(-matrix.sum(axis=0), kind="stable")[:most])
    return tuple(genres[i] for i in kept), matrix[:, kept]


def draw_subgenres(
    genres: Sequence[str], matrix: NDArray[np.bool_], *, each: int, seed: int = 0
) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Names of ``each`` sub-genres of every genre, and who has them, (videos, genres * each).

    A video has one sub-genre of each of its genres, all alike in chance: of ``matrix`` (videos, genres).
    """
    videos, count = matrix.shape
    drawn = np.random.default_rng((seed, each)).integers(each, size=(videos, count, 1))
    of = (drawn == np.arange(each)) & matrix[:, :, None]
    return tuple(f"{genre} {i + 1}" for genre in genres for i in range(each)), of.reshape(videos, -1)


def _copula(videos: int, random: np.random.Generator) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    genres, counts = genre_counts()
    frequency = counts.diagonal() / TRAILERS
    both = (counts + 0.5) / TRAILERS
    only, neither = frequency[:, None] - both, 1 - frequency[:, None] - frequency + both
    odds = both * neither / (only * only.T).clip(1e-9)
    # Correlation behind two thresholds, from their odds ratio (Digby 1983).
    latent = (odds**0.75 - 1) / (odds**0.75 + 1)
    np.fill_diagonal(latent, 1)
    values, vectors = np.linalg.eigh(latent)
    root: NDArray[Any] = vectors * np.sqrt(values.clip(0))  # the nearest that is a correlation, nearly
    root /= np.linalg.norm(root, axis=1, keepdims=True)
    thresholds = np.array([NormalDist().inv_cdf(1 - share) for share in frequency])
    return genres, random.normal(size=(videos, len(genres))) @ root.T > thresholds
