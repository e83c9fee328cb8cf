"""Genres of videos out of a table with any column names."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extract.errors import SHOWN, UsageError, some
from extract.options import Checked
from train.errors import DataError
from train.labels.cells import CellTable, read_cells, shown
from train.labels.genres import (
    Genres,
    as_one_name,
    counted,
    genre_lists,
    numbered_columns,
    united,
    vocabulary_of,
)
from train.labels.one_hot import almost_flags, flag_columns, flagged, genre_names
from train.labels.spelling import composed, folded, has_video_suffix, is_missing, text

# In this order, in any case, with or without blanks, hyphens and underscores.
ID_COLUMNS = (
    *("video_id", "youtube_id", "id", "video", "imdb_id"),
    *("tconst", "movie_id", "file", "filename", "path"),
)
TITLE_COLUMNS = ("trailer", "film", "movie", "title", "name")  # may name the videos where none of these does
_WORDS = re.compile(r"\s*[|;,]\s*")
GENRE_COLUMNS = ("genres", "genre", "labels", "label", "categories", "category")


@dataclass(frozen=True)
class LabelTable:
    """Videos that have labels, in the order of the file.

    ``genres`` is the vocabulary, sorted; ``matrix`` (videos, genres) says which a video has. ``groups`` names
    what must stay together (the film of a trailer). ``columns`` are all columns of the file, as text, and
    ``roles`` says of those that are read what they are. ``notes`` says in one line each what was left out or
    looks odd.
    """

    ids: tuple[str, ...]
    genres: tuple[str, ...]
    matrix: NDArray[np.bool_]
    groups: tuple[str, ...] | None = None
    duration_seconds: NDArray[np.float64] | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)

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
class LabelColumns(Checked):
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
    most_frequent: int | None = None,
) -> LabelTable:
    """Read a table of labels: CSV, JSON, JSON lines or Parquet (:mod:`train.labels.files`).

    Genres are a list, or text: a list as programs write it, or names separated by ``|``, ``;``, ``,`` or line
    breaks (the first of these that the column has; :mod:`train.labels.lists`), or one name in each of several
    rows of a video, or columns of 0 and 1 (:mod:`train.labels.one_hot`). A video without genres (an
    empty cell, N/A, ...) is left out; one with an empty list is of no genre. Spellings that differ by
    case, blanks or Unicode form are one genre. ``vocabulary`` fixes the genres, and ``least_videos`` leaves
    out those that fewer videos have, ``most_frequent`` all but so many. Raises DataError, UsageError.
    """
    source = Path(path)
    asked = columns or LabelColumns()
    table = read_cells(source, "labels")
    _check_shape(table)
    if asked.id is None:
        _check_header(table)
    id_column = table.column(asked.id, (*ID_COLUMNS, *TITLE_COLUMNS), "id")
    roles = {
        table.column(name, (), "group or duration"): role
        for name, role in ((asked.group, "group"), (asked.duration, "duration"))
        if name is not None
    } | {id_column: "id"}
    ids = ["" if is_missing(value) else text(value) for value in table.columns[id_column]]
    listed, spelt = _genres(table, asked, roles)
    genres, unified = as_one_name(listed, vocabulary)
    genres, joined = _joined(ids, genres)
    rows, notes = _rows(source, ids, genres, repeated=bool(joined))
    names, more = vocabulary_of([genres[i] for i in rows], vocabulary, least_videos, most_frequent)
    matrix = np.zeros((len(rows), len(names)), bool)
    place = {name: i for i, name in enumerate(names)}
    for row, i in enumerate(rows):
        matrix[row, [place[name] for name in genres[i] or () if name in place]] = True
    kept = {name: tuple(text(values[i]) for i in rows) for name, values in table.columns.items()}
    return LabelTable(
        ids=tuple(ids[i] for i in rows),
        genres=names,
        matrix=matrix,
        groups=None if asked.group is None else _groups(kept[asked.group], ids, rows),
        duration_seconds=None if asked.duration is None else _durations(source, asked, kept),
        columns=kept,
        notes=(*joined, *notes, *spelt, *unified, *more),
        roles=roles,
    )


def duration_filter(labels: LabelTable) -> LabelTable:
    """Without videos of unusual length: those beyond the inner fences of the quartiles.

    Kept is Q1 - 1.5 (Q3 - Q1) <= duration <= Q3 + 1.5 (Q3 - Q1) (Tukey; Sulun et al. 2024, dataset section).
    A video without a known duration is kept. Raises UsageError without durations.
    """
    seconds = labels.duration_seconds
    if seconds is None:
        raise UsageError("the duration filter needs durations: name their column (--duration-column)")
    if np.isnan(seconds).all():
        return labels.select(np.ones(len(seconds), bool), "no duration is known: none is filtered by it")
    low, high = np.nanpercentile(seconds, (25, 75))
    fence = 1.5 * (high - low)
    kept = np.isnan(seconds) | ((seconds >= low - fence) & (seconds <= high + fence))
    beyond = f"shorter than {low - fence:.1f} s or longer than {high + fence:.1f} s"
    return labels.select(kept, *counted(int((~kept).sum()), "video is", "videos are", f"{beyond}: left out"))


def _check_shape(table: CellTable) -> None:
    if table.odd_rows:
        raise DataError(
            f"{str(table.path)!r}: row {table.odd_rows[0]} has a different number of cells than the header: "
            "quote cells that hold the separator, or put | between genres; no comments below the header"
        )
    if len(table.columns) == 1:
        raise DataError(
            f"{str(table.path)!r} has only one column ({shown(next(iter(table.columns)))}): labels need an "
            "id and genres, with commas, semicolons, tabs or | between the cells"
        )


def _genres(table: CellTable, asked: LabelColumns, roles: dict[str, str]) -> tuple[list[Genres], list[str]]:
    """The genres of each row, and notes; adds the columns that they are in to ``roles``."""
    if asked.genres is None and table.usual(GENRE_COLUMNS) is None:
        found = _genres_in_columns(table, roles)
        if found is not None:
            return found
    column = table.column(asked.genres, GENRE_COLUMNS, "genres")
    roles[column] = "genres"
    return genre_lists(table, column)


def _genres_in_columns(table: CellTable, roles: dict[str, str]) -> tuple[list[Genres], list[str]] | None:
    """As :func:`_genres`, of several columns; None where there are none."""
    flags, doubtful = flag_columns(table, GENRE_COLUMNS, roles), almost_flags(table, roles)
    odd = ", ".join(f"{name!r} has {text(cell)}" for name, cell in list(doubtful.items())[:SHOWN])
    if flags:
        roles.update(dict.fromkeys(flags, "genre"))
        notes = [f"{len(flags)} columns of 0 and 1 are genres: {some(flags)}; remove those that are none"]
        if doubtful:
            notes.append(f"other numbers than 0 and 1 are not read: {odd}")
        return flagged(table, genre_names(flags, GENRE_COLUMNS)), notes
    numbered = numbered_columns(table, GENRE_COLUMNS)
    if numbered:
        roles.update(dict.fromkeys(numbered, "genres"))
        parts = [genre_lists(table, name) for name in numbered]
        notes = [f"{len(numbered)} columns are genres: {some(numbered)}"]
        return united(lists for lists, _ in parts), [*notes, *(note for _, more in parts for note in more)]
    if doubtful:
        raise UsageError(
            f"{str(table.path)!r} has no column of genres, and its columns of numbers are no flags: {odd}; "
            "write 1 where a video has the genre, else 0, or name a column of genres (--genres-column)"
        )
    return None


def _check_header(table: CellTable) -> None:
    """Raises DataError where the first row is one of a video: its genres are also those of others."""
    if table.usual((*ID_COLUMNS, *TITLE_COLUMNS, *GENRE_COLUMNS)) is not None:
        return
    for name, cells in table.columns.items():
        words = {word for cell in cells for word in _WORDS.split(folded(text(cell)))} - {""}
        if has_video_suffix(name) or not words.isdisjoint(_WORDS.split(folded(name))):
            raise DataError(
                f"{str(table.path)!r} has no header, but begins with {', '.join(map(shown, table.columns))}: "
                "write names above it, such as video_id,genres"
            )


def _joined(ids: Sequence[str], genres: list[Genres]) -> tuple[list[Genres], list[str]]:
    """A row for each genre of a video: all of its genres in each of its rows, and a note."""
    if any(len(names or ()) > 1 for names in genres):
        return genres, []
    of: dict[str, set[str]] = defaultdict(set)
    for name, names in zip(ids, genres, strict=True):
        of[composed(name)].update(names or ())
    several = [name for name, names in of.items() if name and len(names) > 1]
    if not several:
        return genres, []
    whole = [
        names if names is None else sorted(of[composed(name)])
        for name, names in zip(ids, genres, strict=True)
    ]
    first = several[0]
    what = f"a row for each genre: joined ({first!r}: {', '.join(sorted(of[first]))})"
    return whole, counted(len(several), "video has", "videos have", what)


def _rows(
    path: Path, ids: Sequence[str], genres: Sequence[Genres], *, repeated: bool
) -> tuple[list[int], list[str]]:
    """The rows that count, and what there is to say of the others; ``repeated`` ids are meant to be."""
    first: dict[str, int] = {}  # by id as it is compared
    again = 0
    for i, name in enumerate(ids):
        if not name or genres[i] is None:
            continue
        if composed(name) not in first:
            first[composed(name)] = i
            continue
        again += 1
        before = first[composed(name)]
        if genres[before] != genres[i]:
            how = "" if ids[before] == name else " (in two Unicode forms)"
            raise DataError(
                f"{str(path)!r} has {name!r} twice{how} with different genres ({shown(genres[before])}, "
                f"{shown(genres[i])}): keep one row for each id, or name another id column"
            )
    unlabelled = sum(1 for name, mine in zip(ids, genres, strict=True) if not name or mine is None)
    empty = sum(1 for i in first.values() if not genres[i])
    if not first:
        raise DataError(f"{str(path)!r} has no row with an id and genres")
    return sorted(first.values()), [
        *counted(
            unlabelled,
            "row has",
            "rows have",
            "no id or no genres: left out (empty, N/A and the like are none)",
        ),
        *counted(0 if repeated else again, "row is a duplicate:", "rows are duplicates:", "left out"),
        *counted(empty, "video has", "videos have", "no genre, in an empty list or row of flags: kept"),
    ]


def _groups(values: Sequence[str], ids: Sequence[str], rows: Sequence[int]) -> tuple[str, ...]:
    """A video without a group is one of its own."""
    return tuple(
        f"\0{ids[i]}" if is_missing(value) else composed(value) for value, i in zip(values, rows, strict=True)
    )


def _durations(path: Path, asked: LabelColumns, columns: Mapping[str, Sequence[str]]) -> NDArray[np.float64]:
    assert asked.duration is not None
    try:
        return np.array([np.nan if is_missing(value) else float(value) for value in columns[asked.duration]])
    except ValueError as error:
        raise DataError(
            f"{str(path)!r}: column {asked.duration!r} is not a number of seconds everywhere ({error}): name "
            "another, or correct it"
        ) from error
