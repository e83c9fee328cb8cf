"""Genres that are columns: a 1 where a video has the genre, as pandas' ``get_dummies`` writes them.

Its columns begin with the name of the column that they come from: ``genres_Action``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from train.labels.cells import CellTable
from train.labels.spelling import folded, is_missing, text, tidy

_YES = frozenset({"1", "true", "yes", "x"})
_NO = frozenset({"0", "false", "no"})


def flag_columns(table: CellTable, usual: Sequence[str], others: Collection[str]) -> list[str]:
    """The columns of which every cell is a flag, where the table has no column of a ``usual`` name.

    None of ``others``; no columns at all if there is but one, which may be anything.
    """
    if table.usual(usual) is not None:
        return []
    found = [
        name
        for name, cells in table.columns.items()
        if name not in others
        and all(is_missing(cell) or text(cell).lower() in _YES | _NO for cell in cells)
        and any(text(cell).lower() in _YES for cell in cells)
    ]
    return found if len(found) > 1 else []


def almost_flags(table: CellTable, others: Collection[str]) -> dict[str, Any]:
    """Columns of numbers, some of them 0 or -1, that are no flags, each with a cell that is none."""
    found = {}
    for name in table.columns.keys() - others:
        cells = [cell for cell in table.columns[name] if not is_missing(cell)]
        odd = [cell for cell in cells if text(cell).lower() not in _YES | _NO]
        if odd and any(text(cell).lower() in {*_NO, "-1"} for cell in cells) and all(map(_is_number, odd)):
            found[name] = odd[0]
    return dict(sorted(found.items()))


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def genre_names(columns: Collection[str], usual: Sequence[str]) -> dict[str, str]:
    """The genre of each column: its name, without the beginning that all have in common."""
    for begin in usual:
        if all(folded(name).startswith(f"{begin}_") for name in columns):
            return {name: tidy(name)[len(begin) + 1 :] for name in columns}
    return {name: tidy(name) for name in columns}


def flagged(table: CellTable, names: Mapping[str, str]) -> list[list[str] | None]:
    """The genres, by column, that each row flags, sorted; None where all of its cells are empty."""
    rows = zip(*(table.columns[column] for column in names), strict=True)
    return [
        None
        if all(is_missing(cell) for cell in row)
        else sorted(
            name for name, cell in zip(names.values(), row, strict=True) if text(cell).lower() in _YES
        )
        for row in rows
    ]
