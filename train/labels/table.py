"""Genres of videos out of a CSV or Parquet table with any column names."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extract.errors import UsageError, some
from train.errors import DataError
from train.labels.cells import CellTable, names_of, read_cells, separator_of, text

ID_COLUMNS = ("video_id", "youtube_id", "id", "video", "imdb_id")
GENRE_COLUMNS = ("genres", "genre", "labels", "label")


@dataclass(frozen=True)
class LabelTable:
    """Videos that have labels, in the order of the file.

    ``genres`` is the vocabulary, sorted; ``matrix`` (videos, genres) says which a video has. ``groups`` names
    what must stay together (the film of a trailer). ``columns`` are all columns of the file, as text.
    ``notes`` says in one line each what was left out or looks odd.
    """

    ids: tuple[str, ...]
    genres: tuple[str, ...]
    matrix: NDArray[np.bool_]
    groups: tuple[str, ...] | None = None
    duration_seconds: NDArray[np.float64] | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.matrix.shape != (len(self.ids), len(self.genres)):
            raise ValueError(
                f"{len(self.ids)} videos, {len(self.genres)} genres, matrix {self.matrix.shape = }"
            )

    def select(self, kept: NDArray[np.bool_], *notes: str) -> LabelTable:
        """Some of the videos."""
        chosen = np.flatnonzero(kept).tolist()

        def pick(values: Sequence[str]) -> tuple[str, ...]:
            return tuple(values[i] for i in chosen)

        return replace(
            self,
            ids=pick(self.ids),
            matrix=self.matrix[chosen],
            groups=None if self.groups is None else pick(self.groups),
            duration_seconds=None if self.duration_seconds is None else self.duration_seconds[chosen],
            columns={name: pick(values) for name, values in self.columns.items()},
            notes=(*self.notes, *notes),
        )

    def rows(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Labels (ids, genres) of these videos."""
        place = {name: i for i, name in enumerate(self.ids)}
        return self.matrix[[place[name] for name in ids]]


@dataclass(frozen=True)
class LabelColumns:
    """Which column is what; None: the usual names. Group and duration are optional."""

    id: str | None = None
    genres: str | None = None
    group: str | None = None
    duration: str | None = None


def read_labels(
    path: str | os.PathLike[str],
    columns: LabelColumns | None = None,
    *,
    vocabulary: Sequence[str] | None = None,
    least_videos: int = 1,
) -> LabelTable:
    """Read a table of labels. Its suffix says what it is: .parquet, .json (a list of objects), else CSV.

    Genres are a list, or text: JSON, a Python list, or names separated by ``|``, ``;`` or ``,`` (the first of
    these that the column has). A video without genres (an empty cell) is left out; one with an empty
    list is of no genre. ``vocabulary`` fixes the genres, and ``least_videos`` leaves out those that fewer
    videos have. Raises DataError, UsageError.
    """
    source = Path(path)
    asked = columns or LabelColumns()
    table = read_cells(source, "labels")
    if table.odd_rows:
        raise DataError(
            f"{str(source)!r}: row {table.odd_rows[0]} has another number of cells than the header: quote "
            "cells that hold the separator"
        )
    id_column = table.column(asked.id, ID_COLUMNS, "id")
    genre_column = table.column(asked.genres, GENRE_COLUMNS, "genres")
    for name in (asked.group, asked.duration):
        if name is not None:
            table.column(name, (), "group or duration")
    ids = [text(value) for value in table.columns[id_column]]
    genres = _genre_lists(table, genre_column)
    rows, notes = _rows(source, ids, genres)
    names, more = _vocabulary([genres[i] or [] for i in rows], vocabulary, least_videos)
    matrix = np.zeros((len(rows), len(names)), bool)
    place = {name: i for i, name in enumerate(names)}
    for row, i in enumerate(rows):
        matrix[row, [place[name] for name in genres[i] or [] if name in place]] = True
    kept = {name: tuple(text(values[i]) for i in rows) for name, values in table.columns.items()}
    return LabelTable(
        ids=tuple(ids[i] for i in rows),
        genres=names,
        matrix=matrix,
        groups=None if asked.group is None else _groups(kept[asked.group], ids, rows),
        duration_seconds=None if asked.duration is None else _durations(source, asked, kept),
        columns=kept,
        notes=(*notes, *more),
    )


def duration_filter(labels: LabelTable) -> LabelTable:
    """Without videos of unusual length: those beyond the inner fences of the quartiles.

    Kept is Q1 - 1.5 (Q3 - Q1) <= duration <= Q3 + 1.5 (Q3 - Q1) (Tukey; Sulun et al. 2024, dataset section).
    A video without a known duration is kept. Raises UsageError without durations.
    """
    seconds = labels.duration_seconds
    if seconds is None:
        raise UsageError("the duration filter needs durations: name their column (--duration-column)")
    low, high = np.nanpercentile(seconds, (25, 75))
    fence = 1.5 * (high - low)
    kept = np.isnan(seconds) | ((seconds >= low - fence) & (seconds <= high + fence))
    beyond = f"shorter than {low - fence:.1f} s or longer than {high + fence:.1f} s"
    return labels.select(kept, f"{int((~kept).sum())} videos are {beyond}: left out")


def _genre_lists(table: CellTable, column: str) -> list[list[str] | None]:
    """The genres of each row; None for an empty cell."""
    cells = table.columns[column]
    separator = separator_of(cells)
    lists = []
    for row, cell in zip(table.rows, cells, strict=True):
        try:
            lists.append(names_of(cell, separator))
        except ValueError as error:
            raise DataError(
                f"{str(table.path)!r}, row {row}: {column} is {cell!r}; genres are a list of names, JSON, a "
                "Python list as text, or names separated by |, ; or ,"
            ) from error
    return lists


def _rows(path: Path, ids: Sequence[str], genres: Sequence[list[str] | None]) -> tuple[list[int], list[str]]:
    """The rows that count, and what there is to say of the others."""
    first: dict[str, int] = {}
    again = 0
    for i, name in enumerate(ids):
        if not name or genres[i] is None:
            continue
        if name not in first:
            first[name] = i
            continue
        again += 1
        if genres[first[name]] != genres[i]:
            raise DataError(
                f"{str(path)!r} has {name!r} twice with other genres ({genres[first[name]]}, {genres[i]}): "
                "keep one row for each id, or name another id column"
            )
    empty = sum(1 for name, mine in zip(ids, genres, strict=True) if not name or mine is None)
    none = sum(1 for i in first.values() if not genres[i])
    if not first:
        raise DataError(f"{str(path)!r} has no row with an id and genres")
    notes = [
        f"{count} {what}"
        for count, what in (
            (empty, "rows have no id or no genres: left out"),
            (again, "rows repeat another: left out"),
            (none, "videos have an empty list of genres: kept, as videos of no genre"),
        )
        if count
    ]
    return sorted(first.values()), notes


def _vocabulary(
    genres: Sequence[Sequence[str]], asked: Sequence[str] | None, least: int
) -> tuple[tuple[str, ...], list[str]]:
    counts = Counter(name for mine in genres for name in mine)
    if asked is not None:
        unknown = sorted(counts.keys() - set(asked))
        notes = [f"{len(unknown)} genres are not in the vocabulary: left out ({some(unknown)})"]
        return tuple(sorted(set(asked))), notes if unknown else []
    rare = sorted(name for name, count in counts.items() if count < least)
    if len(rare) == len(counts):
        raise DataError(f"no genre has {least} videos or more: lower --least-videos, or give more labels")
    notes = [f"{len(rare)} genres have fewer than {least} videos: left out ({some(rare)})"]
    return tuple(sorted(counts.keys() - set(rare))), notes if rare else []


def _groups(values: Sequence[str], ids: Sequence[str], rows: Sequence[int]) -> tuple[str, ...]:
    """A video without a group is one of its own."""
    return tuple(value or f"\0{ids[i]}" for value, i in zip(values, rows, strict=True))


def _durations(path: Path, asked: LabelColumns, columns: Mapping[str, Sequence[str]]) -> NDArray[np.float64]:
    assert asked.duration is not None
    try:
        return np.array([float(value) if value else np.nan for value in columns[asked.duration]])
    except ValueError as error:
        raise DataError(
            f"{str(path)!r}: column {asked.duration!r} is no number of seconds everywhere ({error}): name "
            "another, or correct it"
        ) from error
