"""Tables of other people, with any columns and anything in their cells."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.errors import UsageError
from train.errors import DataError
from train.labels.files import Raw, read_raw
from train.labels.spelling import folded, text

FIRST_ROW = 2  # the header is row 1


@dataclass(frozen=True)
class CellTable:
    """``columns``: name -> a cell for each row. ``rows``: each one's number in the file, the header being 1.

    ``odd_rows`` are the numbers of rows that have more or fewer cells than the header; they are left out.
    """

    path: Path
    columns: Mapping[str, list[Any]]
    rows: tuple[int, ...]
    odd_rows: tuple[int, ...] = ()

    def column(self, asked: str | None, usual: Sequence[str], what: str) -> str:
        """The name asked for, or else the first usual one, in any case. Raises UsageError for none."""
        if asked is not None:
            there = {folded(name): name for name in self.columns}
            if folded(asked) not in there:
                raise UsageError(f"{str(self.path)!r} has no column {asked!r}; it has {self._names()}")
            return there[folded(asked)]
        found = self.usual(usual)
        if found is None:
            raise UsageError(
                f"{str(self.path)!r} has no {what} column with a usual name ({', '.join(usual)}); it has "
                f"{self._names()}: name one (--{what}-column)"
            )
        return found

    def usual(self, names: Sequence[str]) -> str | None:
        """The column with the first of these names that is there, or None; ``movieId`` is ``movie_id``."""
        there = {_letters(name): name for name in self.columns}
        return next((there[key] for key in map(_letters, names) if key in there), None)

    def _names(self) -> str:
        return ", ".join(shown(name, quoted=False) for name in self.columns)


def read_cells(path: Path, what: str) -> CellTable:
    """Read a table whole: Parquet, JSON, JSON lines or CSV (:mod:`train.labels.files`).

    ``what`` it holds is for messages. Raises DataError for what cannot be read, has no rows, or has two
    columns with the same name.
    """
    try:
        raw = read_raw(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise DataError(
            f"cannot read {what} {str(path)!r}: {why}; give a CSV, JSON or Parquet table"
        ) from error
    except (ValueError, csv.Error) as error:
        raise DataError(f"cannot read {what} {str(path)!r}: {_line(error)}") from error
    except (RecursionError, MemoryError) as error:
        raise DataError(f"cannot read {what} {str(path)!r}: it is nested too deeply or too large") from error
    places = _places(path, raw)
    if not places or not raw.rows:
        raise DataError(f"{str(path)!r} holds no {what}: give a table with a header and a row for each video")
    numbered = list(enumerate(raw.rows, FIRST_ROW))
    whole = [(number, row) for number, row in numbered if len(row) == len(raw.header)]
    return CellTable(
        path,
        {name: [row[place] for _, row in whole] for name, place in places.items()},
        tuple(number for number, _ in whole),
        tuple(number for number, row in numbered if len(row) != len(raw.header)),
    )


def _places(path: Path, raw: Raw) -> dict[str, int]:
    """Where each column is; those without a name and without content are left out (Excel adds some)."""
    places = {}
    same = defaultdict(list)
    for place, name in enumerate(raw.header):
        if not name.strip() and not any(text(row[place]) for row in raw.rows if place < len(row)):
            continue
        places[name.strip()] = place
        same[folded(name)].append(name)
    twice = next((names for names in same.values() if len(names) > 1), None)
    if twice:
        raise DataError(
            f"{str(path)!r} has {len(twice)} columns with the same name ({', '.join(map(shown, twice))}): "
            "rename or remove all but one"
            + (", or add the header, if there is none" if twice[0].isdecimal() else "")
        )
    return places


def _letters(name: str) -> str:
    return "".join(letter for letter in folded(name) if letter.isalnum())


def shown(value: Any, *, quoted: bool = True) -> str:
    """A value for a message, on one line and not too long."""
    said = repr(value) if quoted or not str(value).isprintable() else str(value)
    return said if len(said) <= 80 else f"{said[:77]}..."


def _line(error: Exception) -> str:
    """What went wrong, on one line; the first of Arrow's lines says it."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
