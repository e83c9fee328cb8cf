"""Tables of other people: CSV, Parquet or JSON, with any columns and with lists in their cells."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.errors import UsageError
from train.errors import DataError

FIRST_ROW = 2  # the header is row 1
SEPARATORS = "|;,"


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
        """The name asked for, or else the first usual one. Raises UsageError where there is none."""
        if asked is not None:
            if asked not in self.columns:
                raise UsageError(
                    f"{str(self.path)!r} has no column {asked!r}; it has {', '.join(self.columns)}"
                )
            return asked
        found = next((name for name in usual if name in self.columns), None)
        if found is None:
            raise UsageError(
                f"{str(self.path)!r} has no {what} column by a usual name ({', '.join(usual)}); it has "
                f"{', '.join(self.columns)}: name one (--{what}-column)"
            )
        return found


def read_cells(path: Path, what: str) -> CellTable:
    """Read a table whole; its suffix says what it is: .parquet, .json (a list of objects), else CSV.

    ``what`` it holds is for messages. Raises DataError for what cannot be read or has no rows.
    """
    try:
        kind = path.suffix.lower()
        table = _parquet(path) if kind == ".parquet" else _json(path) if kind == ".json" else _csv(path)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"cannot read {what} {str(path)!r}: {error}; give a CSV or Parquet table") from error
    if not table.columns or not (table.rows or table.odd_rows):
        raise DataError(f"{str(path)!r} holds no {what}: give a table with a header and a row for each video")
    return table


def _parquet(path: Path) -> CellTable:
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = pq.read_table(path).to_pydict()
    return _numbered(path, columns)


def _json(path: Path) -> CellTable:
    rows = json.loads(path.read_text("utf-8-sig"))
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it is no list of objects")
    names = dict.fromkeys(name for row in rows for name in row)
    return _numbered(path, {name: [row.get(name) for row in rows] for name in names})


def _numbered(path: Path, columns: Mapping[str, list[Any]]) -> CellTable:
    count = len(next(iter(columns.values()), []))
    return CellTable(path, columns, tuple(range(FIRST_ROW, FIRST_ROW + count)))


def _csv(path: Path) -> CellTable:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=_delimiter(file))
        header, *rows = [row for row in reader if row] or [[]]
    numbered = list(enumerate(rows, FIRST_ROW))
    whole = [(number, row) for number, row in numbered if len(row) == len(header)]
    return CellTable(
        path,
        {name.strip(): [row[i] for _, row in whole] for i, name in enumerate(header)},
        tuple(number for number, _ in whole),
        tuple(number for number, row in numbered if len(row) != len(header)),
    )


def _delimiter(file: Any) -> str:
    """What the header has most of."""
    header = file.readline()
    file.seek(0)
    return max(",;\t", key=header.count)


def text(cell: Any) -> str:
    """A cell as text without blanks around it, that UTF-8 can hold; nothing, and NaN, is empty.

    Whole numbers have no point: a column with holes holds 603 as 603.0.
    """
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if cell is None or cell != cell:
        return ""
    return str(cell).encode("utf-8", "backslashreplace").decode().strip()


def separator_of(cells: Iterable[Any], allowed: str = SEPARATORS) -> str | None:
    """The first of the allowed separators that the texts of a column have."""
    plain = [cell for cell in cells if isinstance(cell, str) and not cell.lstrip().startswith("[")]
    return next((mark for mark in allowed if any(mark in cell for cell in plain)), None)


def names_of(cell: Any, separator: str | None) -> list[str] | None:
    """The names in a cell, sorted, each once; None for an empty cell.

    A list, or text: JSON, a Python list, or names between separators. An entry of a list may be an object
    with a ``name``. Raises ValueError for anything else.
    """
    if not isinstance(cell, list) and not text(cell):
        return None
    if isinstance(cell, str):
        listed = cell.lstrip().startswith("[")
        cell = _list(cell.strip()) if listed else cell.split(separator) if separator else [cell]
    elif isinstance(cell, int | float):
        cell = [text(cell)]
    if isinstance(cell, list):
        cell = [entry.get("name") if isinstance(entry, dict) else entry for entry in cell]
    if not isinstance(cell, list) or not all(isinstance(name, str) for name in cell):
        raise ValueError("not a list of names")
    return sorted({text(name) for name in cell} - {""})


def _list(cell: str) -> Any:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"no list ({type(error).__name__})") from error
