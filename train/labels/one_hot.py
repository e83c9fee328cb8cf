"""Genres that are columns: a 1 where a video has the genre, as pandas' ``get_dummies`` writes them."""

from __future__ import annotations

from collections.abc import Collection

from train.labels.cells import CellTable
from train.labels.spelling import folded, is_missing, text, tidy

_YES = frozenset({"1", "true", "yes", "x"})
_NO = frozenset({"0", "false", "no"})


def flag_columns(table: CellTable, usual: Collection[str], others: Collection[str]) -> list[str]:
    """The columns of which every cell is a flag, where the table has no column of a ``usual`` name.

    None of ``others``; no columns at all if there is but one, which may be anything.
    """
    if any(folded(name) in usual for name in table.columns):
        return []
    found = [
        name
        for name, cells in table.columns.items()
        if name not in others
        and all(is_missing(cell) or text(cell).lower() in _YES | _NO for cell in cells)
        and any(text(cell).lower() in _YES for cell in cells)
    ]
    return found if len(found) > 1 else []


def flagged(table: CellTable, columns: Collection[str]) -> list[list[str] | None]:
    """The names of the columns that each row flags, sorted; None where all of its cells are empty."""
    rows = zip(*(table.columns[name] for name in columns), strict=True)
    return [
        None
        if all(is_missing(cell) for cell in row)
        else sorted(tidy(name) for name, cell in zip(columns, row, strict=True) if text(cell).lower() in _YES)
        for row in rows
    ]
