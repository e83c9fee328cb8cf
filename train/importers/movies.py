"""A table of movies (plot, poster, director, ...) as tables of a store, so that the trainer streams them.

A store of trailers gets them beside its own tables; or the rows become the videos of a new store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from extract.errors import UsageError, count, some
from extract.options import Checked
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.location import Location
from pipeline.store.layout import Store, open_store
from pipeline.store.reading import current_parts, valid_parts
from pipeline.store.videos import members_of, read_shards
from train.errors import DataError
from train.importers.categories import Categories
from train.importers.posters import PosterVectors
from train.importers.writing import Source, add_to_store, unfinished, write_store
from train.labels.cells import CellTable, read_cells
from train.labels.lists import SEPARATORS, names_of, separator_of
from train.labels.matching import video_ids_of
from train.labels.spelling import composed, is_missing, text
from train.labels.table import ID_COLUMNS

if TYPE_CHECKING:
    from extract.experts.vgg16 import Posters
    from train.importers.texts import TextEncoder

IMPORTER = {"importer": "movies", "version": 1}

V = TypeVar("V")


@dataclass(frozen=True)
class MovieColumns(Checked):
    """Which column is what. ``id`` None: the usual names, else rows are named by their number.

    ``texts`` are joined. ``separators``: the first of them that a column of categories has splits its cells.
    """

    id: str | None = None
    texts: tuple[str, ...] = ()
    poster: str | None = None
    categories: tuple[str, ...] = ()
    genres: str | None = None
    separators: str = "|;"


@dataclass(frozen=True)
class Encoders:
    """What makes vectors: ``text`` is given all texts and makes an encoder, ``posters`` makes a network.

    ``categories`` are those of another store; None: values that ``least_rows`` rows have.
    """

    text: Callable[[list[str]], TextEncoder] | None = None
    posters: Callable[[], Posters] | None = None
    categories: Categories | None = None
    least_rows: int = 5


@dataclass(frozen=True)
class Imported:
    """What was written: the store's videos and those with a row; by table, length of its vectors and videos
    that have some. ``notes`` says in a line each what was left out.
    """

    videos: int
    rows: int
    dims: Mapping[str, int]
    found: Mapping[str, int]
    notes: tuple[str, ...] = ()


@dataclass
class _Movies:
    """Rows that count, by id, and what there is to say of the others."""

    table: CellTable
    place: dict[str, int]
    notes: list[str] = field(default_factory=list)

    def cells(self, column: str) -> list[Any]:
        """Of the rows that count; what stands for nothing is None."""
        values = self.table.columns[column]
        return [None if is_missing(values[i]) else values[i] for i in self.place.values()]

    def names(self, column: str, separators: str) -> list[list[str] | None]:
        """The names in each cell; a cell that holds no list is noted, and empty."""
        cells = self.cells(column)
        separator = separator_of(cells, separators)
        found: list[list[str] | None] = []
        odd = []
        for i, cell in zip(self.place.values(), cells, strict=True):
            try:
                names = names_of(cell, separator)
            except ValueError:
                names = None
                odd.append(self.table.rows[i])
            found.append(names or None)
        self.note(odd, f"without {column!r}, which is no list of names there")
        return found

    def note(self, rows: Sequence[int], what: str) -> None:
        if rows:
            self.notes.append(f"{count(len(rows), 'row')} {what} (row {', '.join(map(str, rows[:5]))})")


def import_movies(
    path: Path,
    out: Location,
    columns: MovieColumns,
    encoders: Encoders,
    *,
    labels: Path | None = None,
) -> Imported:
    """Write the tables ``words`` or ``sentence``, ``poster`` and ``metadata``, as far as columns are named.

    ``out`` is a new store, or one of videos that the rows' ids are found in as labels are
    (:mod:`train.labels.matching`). ``labels``: a CSV to write, with the store's ids and the genres as JSON.

    A row that is odd is noted and left out, and so is a cell; nothing is written before all columns are
    found. Raises DataError, UsageError, StoreError, and what a poster's network raises.
    """
    _check(columns, encoders, labels)
    table = read_cells(path, "movies")
    for name in (*columns.texts, columns.poster, *columns.categories, columns.genres):
        if name is not None:
            table.column(name, (), "")
    store = open_store(out, create=True)
    movies = _movies(table, columns.id)
    there: list[str] = []
    if not unfinished(store, movies.place):
        there = [video.video_id for shard in read_shards(store) for video in shard.videos]
        movies = _matched(movies, there)
    sources, posters, categories = _sources(movies, columns, encoders)
    options = {"import movies": {"file": path.name, "rows": len(movies.place)}}
    if there:
        add_to_store(store, sources, options=options)
    else:
        write_store(out, list(movies.place), sources, options=options)
    if categories is not None:
        categories.save(out)
    if labels is not None and columns.genres is not None:
        _write_labels(labels, movies, columns.genres)
    if posters is not None and posters.failed:
        movies.notes.append(f"{count(len(posters.failed), 'poster')} cannot be read, as {posters.failed[0]}")
    return Imported(
        videos=len(there) or len(movies.place),
        rows=len(movies.place),
        dims={source.name: source.dim for source in sources},
        found=_found(store, sources),
        notes=tuple(movies.notes),
    )


def _check(columns: MovieColumns, encoders: Encoders, labels: Path | None) -> None:
    if not (columns.texts or columns.poster or columns.categories):
        raise UsageError("nothing to import: name columns by --text, --poster or --categories")
    if bool(columns.texts) != (encoders.text is not None):
        raise UsageError(
            "--text COLUMN needs exactly one of --glove FILE, --sentence-encoder FOLDER and --hashed PLACES"
        )
    if (labels is None) != (columns.genres is None):
        raise UsageError("--labels-out FILE goes with --genres COLUMN")
    fitted = encoders.categories
    if fitted is not None and set(columns.categories) != set(fitted.values):
        raise UsageError(
            f"--like names a store with the categories {', '.join(fitted.values)}: give these by --categories"
        )


def _movies(table: CellTable, asked: str | None) -> _Movies:
    """The rows that have an id of their own; all rows, where there is no column of ids."""
    named = asked is not None or table.usual(ID_COLUMNS) is not None
    place: dict[str, int] = {}
    movies = _Movies(table, place)
    movies.note(table.odd_rows, "left out, with a different number of cells than the header")
    if not named:
        place |= {f"{number:07d}": i for i, number in enumerate(table.rows)}
        movies.notes.append("no column has ids: rows are named by their number in the file")
        return movies
    without: list[int] = []
    again: list[int] = []
    seen: set[str] = set()  # ids as they are compared
    for i, cell in enumerate(table.columns[table.column(asked, ID_COLUMNS, "id")]):
        name = "" if is_missing(cell) else text(cell)
        if not name or composed(name) in seen:
            (again if name else without).append(table.rows[i])
        else:
            seen.add(composed(name))
            place[name] = i
    movies.note(without, "left out, without an id")
    movies.note(again, "left out, with the id of an earlier row")
    if not place:
        raise DataError(f"{str(table.path)!r} has no row with an id: name the column by --id")
    return movies


def _matched(movies: _Movies, videos: Sequence[str]) -> _Movies:
    """The rows that are of a video of the store, under its id."""
    found = video_ids_of(list(movies.place), videos)
    if not found:
        raise DataError(
            f"none of the ids of {str(movies.table.path)!r} (as {next(iter(movies.place))!r}) is a video of "
            f"the store (as {videos[0]!r}): name their column by --id, or give a new --out"
        )
    others = [name for name in movies.place if name not in found]
    without = sorted(set(videos) - set(found.values()))
    for names, one, what in (
        (others, "row", "without a video of the store"),
        (without, "video", "without a row"),
    ):
        if names:
            movies.notes.append(f"{count(len(names), one)} {what} ({some(names)})")
    place = {found[name]: i for name, i in movies.place.items() if name in found}
    return _Movies(movies.table, place, movies.notes)


def _sources(
    movies: _Movies, columns: MovieColumns, encoders: Encoders
) -> tuple[list[Source], PosterVectors | None, Categories | None]:
    """One for each kind of column; beside them the posters and the categories, if there are any."""
    sources = []
    posters, fitted = None, None
    if columns.texts and encoders.text is not None:
        texts = _texts(movies, columns.texts)
        encoder = encoders.text(list(texts.values()))
        movies.notes += getattr(encoder, "notes", ())
        made_of = {**IMPORTER, **encoder.made_of}
        sources.append(Source(encoder.table, encoder.dim, _lookup(texts, encoder.encode), made_of))
    if columns.poster is not None and encoders.posters is not None:
        network = encoders.posters()
        cells = zip(movies.place, movies.cells(columns.poster), strict=True)
        paths = {name: movies.table.path.parent / text(cell) for name, cell in cells if cell is not None}
        posters = PosterVectors(network, dict(sorted(paths.items())))
        # ``random_seed`` stands where the trainer looks for it, so that such a store is for dry runs only.
        made_of = {**IMPORTER, "poster": network.made_of, "random_seed": network.made_of["random_seed"]}
        sources.append(Source("poster", network.dim, posters, made_of))
    if columns.categories:
        known = {name: movies.names(name, columns.separators) for name in columns.categories}
        fitted = encoders.categories or Categories.fit(known, least_rows=encoders.least_rows)
        rows = {
            name: {column: values[i] for column, values in known.items()}
            for i, name in enumerate(movies.place)
        }
        made_of = {**IMPORTER, **fitted.made_of}
        sources.append(Source("metadata", fitted.dim, _lookup(rows, fitted.encode), made_of))
    return sources, posters, fitted


def _texts(movies: _Movies, columns: Sequence[str]) -> dict[str, str]:
    """The texts of each row that has any, one column after the other."""
    parts = zip(*(movies.cells(column) for column in columns), strict=True)
    joined = ("\n".join(text(cell) for cell in cells if cell is not None) for cells in parts)
    return {name: found for name, found in zip(movies.place, joined, strict=True) if found}


def _lookup(
    values: Mapping[str, V], encode: Callable[[V], NDArray[np.float32] | None]
) -> Callable[[str], NDArray[np.float32] | None]:
    return lambda video_id: encode(values[video_id]) if video_id in values else None


def _found(store: Store, sources: Sequence[Source]) -> dict[str, int]:
    """Videos that have vectors, by table."""
    members = members_of(store)
    return {
        source.name: sum(
            state.state == "ok"
            for _, footer in valid_parts(store, current_parts(store, source.name), members)
            for state in footer.videos.values()
        )
        for source in sources
    }


def _write_labels(path: Path, movies: _Movies, column: str) -> None:
    genres = movies.names(column, SEPARATORS)
    known = [(name, found) for name, found in zip(movies.place, genres, strict=True) if found]
    with path.open("w", encoding="utf-8", newline="") as file:
        write_csv(file, ("video_id", "genres"), sorted(known))
    if len(known) < len(movies.place):
        movies.notes.append(
            f"{count(len(movies.place) - len(known), 'row')} without genres: not in {path.name!r}"
        )
