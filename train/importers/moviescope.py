"""Moviescope (Cascante-Bonilla et al. 2019), LeBaron's data: its parts, genres and plots as a table of
labels, and its trailers' 200 VGG16 vectors as a store.

What is known of the files is what an author's code does with them (github.com/mluo613/moviescope-new,
``readSplitDataSet.py``): ``raw_data_train.p``, ``raw_data_val.p`` and ``raw_data_test.p`` are pickles, read
as Latin-1, of a list of dictionaries with ``movie_id``, ``newGenreLabels`` (a number for each genre, 1 for
those that the movie has) and ``plot``. How the vectors are laid out is not in it: here each movie has
``MOVIE_ID.npy``, (frames, 4096).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.atomic import atomic
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.location import Location
from train.errors import DataError
from train.importers.pickles import load_arrays
from train.importers.writing import Source, write_store

EXPERT = "vgg16"
DIMENSION = 4096
PARTS = {"train": "train", "val": "validation", "test": "test"}  # of the files' names, of the split


@dataclass(frozen=True)
class Imported:
    """How many movies each part has, and how many of all have vectors."""

    movies: Mapping[str, int]
    with_vectors: int


@dataclass(frozen=True)
class Movie:
    """One of a part: ``genres`` are their names."""

    name: str
    genres: tuple[str, ...]
    plot: str
    part: str


def import_moviescope(
    folder: Path,
    genres: Sequence[str],
    labels: Path,
    *,
    vectors: Path | None = None,
    out: Location | None = None,
) -> Imported:
    """Write ``labels`` as CSV (video_id, genres, split, plot), a folder of ``vectors`` as a store to ``out``.

    ``genres`` are the names of the 13 numbers, in their order, which the files do not say. A vector's
    interval is its number, one second long: the files know no times. Raises DataError, StoreError.
    """
    movies = [
        movie for part in PARTS for movie in _movies(folder / f"raw_data_{part}.p", PARTS[part], genres)
    ]
    twice = sorted({movie.name for movie in movies if sum(m.name == movie.name for m in movies) > 1})
    if twice:
        raise DataError(f"{str(folder)!r} has the movie {twice[0]!r} twice: fetch the files again")
    there = {} if vectors is None else {m.name: vectors / f"{m.name}.npy" for m in movies}
    there = {name: path for name, path in there.items() if path.is_file()}
    if vectors is not None and out is not None:
        if not there:
            raise DataError(
                f"{str(vectors)!r} has no vectors of these movies: it needs {movies[0].name}.npy, ..."
            )
        made_of = {"importer": "moviescope", "version": 1}
        source = Source(EXPERT, DIMENSION, lambda name: _vectors(there[name]), made_of)
        write_store(out, list(there), [source], options={"import": "moviescope"})
    with atomic(labels) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        rows = ((movie.name, movie.genres, movie.part, movie.plot) for movie in movies)
        write_csv(file, ("video_id", "genres", "split", "plot"), rows)
    counts = {part: sum(movie.part == part for movie in movies) for part in PARTS.values()}
    return Imported(counts, len(there))


def _movies(path: Path, part: str, genres: Sequence[str]) -> list[Movie]:
    content = load_arrays(path)
    if not isinstance(content, list) or not content:
        raise DataError(f"{str(path)!r} is not a part of Moviescope: it holds no list of movies")
    movies = []
    for entry in content:
        try:
            flags = np.asarray(entry["newGenreLabels"]).reshape(-1).tolist()
            movies.append(Movie(str(entry["movie_id"]), _named(flags, genres), str(entry["plot"]), part))
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{str(path)!r} has a movie without movie_id, newGenreLabels or plot ({error})"
            ) from error
        except ValueError as error:
            raise DataError(f"{str(path)!r}: the movie {entry['movie_id']!r} {error}") from error
    return movies


def _named(flags: Sequence[Any], genres: Sequence[str]) -> tuple[str, ...]:
    if len(flags) != len(genres) or not {0, 1} >= set(flags):
        raise ValueError(
            f"has the labels {flags}, and {len(genres)} genres are named: name one for each 0 or 1"
        )
    return tuple(genre for genre, flag in zip(genres, flags, strict=True) if flag)


def _vectors(path: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} is no array of numbers ({error}): fetch it again") from error
