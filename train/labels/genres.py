"""Names of genres: out of the cells of a column, each in one spelling, and which of them count."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from extract.errors import count, some
from train.errors import DataError
from train.labels.cells import CellTable, shown
from train.labels.lists import names_of, separator_of
from train.labels.spelling import folded

UNSPLIT = "|;,/\\、，；"  # marks in a name that may have been meant to separate
Genres = list[str] | None  # of a video; None: unknown


def numbered_columns(table: CellTable, usual: Sequence[str]) -> list[str]:
    """Columns that are one of the ``usual`` names and a number: ``genre1``, ``genre_2``."""
    begins = "|".join(map(re.escape, usual))
    found = [name for name in table.columns if re.fullmatch(rf"({begins})[ _.-]?\d+", folded(name))]
    return found if len(found) > 1 else []


def united(parts: Iterable[list[Genres]]) -> list[Genres]:
    """Genres that stand in several columns."""
    return [
        None
        if all(names is None for names in row)
        else sorted({name for names in row for name in names or ()})
        for row in zip(*parts, strict=True)
    ]


def genre_lists(table: CellTable, column: str) -> tuple[list[Genres], list[str]]:
    """The genres of each row, None where its cell stands for nothing, and notes. Raises DataError."""
    cells = table.columns[column]
    separator = separator_of(cells)
    lists: list[Genres] = []
    for row, cell in zip(table.rows, cells, strict=True):
        try:
            lists.append(names_of(cell, separator))
        except ValueError as error:
            raise DataError(
                f"{str(table.path)!r}, row {row}: {column} is {shown(cell)}; genres are a list of names, "
                "JSON, a list of Python, NumPy or DuckDB as text, or names separated by |, ; or ,"
            ) from error
    odd = sorted({name for names in lists for name in names or () if any(mark in name for mark in UNSPLIT)})
    what = f"a character that may be a separator: read as one genre ({some(odd)}); put | between genres"
    return lists, counted(len(odd), "genre contains", "genres contain", what)


def as_one_name(
    lists: Sequence[Genres], vocabulary: Sequence[str] | None = None
) -> tuple[list[Genres], list[str]]:
    """Spellings that differ by case, blanks or Unicode form as one name, and notes.

    The name is that of ``vocabulary``, else the most frequent spelling, of equals the first of the file.
    """
    counts = Counter(name for names in lists for name in names or ())
    spellings = defaultdict(list)
    for name, _ in counts.most_common():
        spellings[folded(name)].append(name)
    fixed = {folded(name): name for name in vocabulary or ()}
    chosen = {key: fixed.get(key, names[0]) for key, names in spellings.items()}
    of = {name: chosen[key] for key, names in spellings.items() for name in names}
    notes = [
        f"{', '.join(map(repr, others))}: read as {chosen[key]!r}, which is spelt differently"
        for key, names in spellings.items()
        if (others := [name for name in names if name != chosen[key]])
    ]
    return [None if names is None else sorted({of[name] for name in names}) for names in lists], notes


def vocabulary_of(
    genres: Sequence[Genres], asked: Sequence[str] | None, least: int, most_frequent: int | None = None
) -> tuple[tuple[str, ...], list[str]]:
    """The genres that count, sorted, and notes of the others. Raises DataError where none is left.

    Of genres with as many videos, the first by name is the more frequent.
    """
    counts = Counter(name for mine in genres for name in mine or ())
    if asked is not None:
        unknown = sorted(counts.keys() - set(asked))
        what = f"not in the vocabulary: left out ({some(unknown)})"
        return tuple(sorted(set(asked))), counted(len(unknown), "genre is", "genres are", what)
    rare = sorted(name for name, count in counts.items() if count < least)
    if len(rare) == len(counts):
        raise DataError(f"no genre has {least} videos or more: lower --least-videos, or give more labels")
    what = f"fewer than {count(least, 'video')}: left out ({some(rare)})"
    kept, notes = sorted(counts.keys() - set(rare)), counted(len(rare), "genre has", "genres have", what)
    if most_frequent is None:
        return tuple(kept), notes
    beyond = sorted(kept, key=lambda name: -counts[name])[most_frequent:]
    what = f"not among the {most_frequent} most frequent: left out ({some(sorted(beyond))})"
    more = counted(len(beyond), "genre is", "genres are", what)
    return tuple(name for name in kept if name not in beyond), [*notes, *more]


def counted(number: int, one: str, many: str, what: str) -> list[str]:
    """A note, if there is anything to say: "1 row has ...", "2 rows have ..."."""
    return [f"{count(number, one, many)} {what}"] if number else []
