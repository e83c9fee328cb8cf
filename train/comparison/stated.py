"""The figures that a paper prints itself, beside those of the user.

``train/comparison/papers/NAME_NUMBER.csv`` is the paper's table as it is printed: rows and columns have the
names that the table here has. The paper measured them on its own data; they are no target for other data.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import train.comparison.papers
from train.evaluation.tables import Table, TableEntry, TableRow

MARK = " (paper)"


@dataclass(frozen=True)
class StatedTable:
    """``rows``: name -> column -> what the paper prints."""

    columns: tuple[str, ...]
    rows: Mapping[str, Mapping[str, str]]


def stated_table(paper: str, table: str) -> StatedTable | None:
    """What a paper prints in one of its tables; None where it prints no figures."""
    name = f"{paper}_{table}.csv"
    found = [path for folder in train.comparison.papers.__path__ if (path := Path(folder) / name).exists()]
    if not found:
        return None
    with found[0].open(encoding="utf-8", newline="") as file:
        (_, *columns), *rows = csv.reader(file)
    return StatedTable(tuple(columns), {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows})


def beside(table: Table, stated: StatedTable, *notes: str) -> Table:
    """A table with a row of the paper's under each of its own, and those that only the paper has.

    Names are the same where letters and digits are: "Sci-Fi" is "SciFi". Columns that only the paper has
    come last.
    """
    of_paper = {_same(column): column for column in stated.columns}
    mine = {_same(column) for column in table.columns}
    more = [column for column in stated.columns if _same(column) not in mine]
    keys = [_same(column) for column in (*table.columns, *more)]

    def printed(name: str) -> TableRow:
        row = stated.rows[name]
        return f"{name}{MARK}", tuple(row.get(of_paper.get(key, ""), "") for key in keys)

    def widened(rows: Iterable[TableRow]) -> list[TableRow]:
        empty: tuple[TableEntry, ...] = ("",) * len(more)
        return [(name, (*entries, *empty)) for name, entries in rows]

    names = {_same(name): name for name in stated.rows}
    rows, baselines = widened(table.rows), widened(table.baselines)
    there = {_same(name) for name, _ in (*rows, *baselines)}
    found = _with_printed(rows, names, printed)
    for before, name in _absent(list(stated.rows), there):
        place = next((i for i, (row, _) in enumerate(found) if row == f"{before}{MARK}"), -1)
        found.insert(place + 1, printed(name))
    return replace(
        table,
        columns=(*table.columns, *more),
        rows=tuple(found),
        baselines=tuple(_with_printed(baselines, names, printed)),
        notes=(*table.notes, *notes),
    )


def _with_printed(
    rows: Iterable[TableRow], names: Mapping[str, str], printed: Callable[[str], TableRow]
) -> list[TableRow]:
    """Each row, and what the paper prints of it."""
    found: list[TableRow] = []
    for row in rows:
        found.append(row)
        if _same(row[0]) in names:
            found.append(printed(names[_same(row[0])]))
    return found


def _absent(names: Sequence[str], there: set[str]) -> list[tuple[str, str]]:
    """Rows that only the paper has, each with the name before it in the paper; empty: it is the first."""
    return [(names[i - 1] if i else "", name) for i, name in enumerate(names) if _same(name) not in there]


def _same(name: str) -> str:
    """A name as it is compared."""
    return "".join(c for c in name.casefold() if c.isalnum())
