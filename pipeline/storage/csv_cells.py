r"""CSV that is safe to open in a spreadsheet, and whose cells are read back as they were.

Titles and file names come from anywhere, and a spreadsheet runs a cell that begins with ``=``, ``+``, ``-``
or ``@`` (OWASP, "CSV Injection"; CWE-1236): such a text is written with an apostrophe before it, but for ids
like YouTube's, ``-aB_c``, which are only letters, digits, ``_`` and ``-`` and can compute nothing. Control
characters, and those that turn the direction of a line, are written as ``\x1b`` or ``\u202e``.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

_ESCAPE = r"(?:x(?:[01][0-9a-f]|7f|[89][0-9a-f]|5c)|u(?:202[89a-e]|206[6-9]))"
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
    rf"|\\(?={_ESCAPE})"  # what reads like an escape, and is none
)
_ESCAPED = re.compile(rf"\\({_ESCAPE})")
_FORMULA = re.compile(r"'*\s*(?!-(?=[\w-]*[a-zA-Z_])[\w-]+$)[=+\-@＝＋－＠]", re.ASCII)


def write_csv(
    file: TextIO, header: Iterable[str], rows: Iterable[Iterable[Any]], *, digits: int | None = None
) -> None:
    """A header and rows. Texts are escaped, lists become JSON; ``digits``: of numbers, after the point."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([escaped(name) for name in header])
    writer.writerows([_cell(value, digits) for value in row] for row in rows)


def cell_of(value: str | Sequence[Any]) -> str:
    """A text as it is written, a list as JSON."""
    return escaped(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def escaped(text: str) -> str:
    """A text as it is written; :func:`unescaped` takes it back."""
    text = _UNSEEN.sub(lambda match: _code(ord(match[0])), text)
    return f"'{text}" if _FORMULA.match(text) else text


def unescaped(cell: str) -> str:
    """The text of a cell that :func:`escaped` may have written."""
    if cell.startswith("'") and _FORMULA.match(cell):
        cell = cell[1:]
    return _ESCAPED.sub(lambda match: chr(int(match[1][1:], 16)), cell) if "\\" in cell else cell


def _code(point: int) -> str:
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"


def _cell(value: Any, digits: int | None) -> Any:
    if isinstance(value, str | list | tuple):
        return cell_of(value)
    return f"{value:.{digits}f}" if digits is not None and isinstance(value, float) else value
