"""Lists of names as other programs write them into one cell.

JSON (also encoded twice), lists, tuples and sets of Python, arrays of NumPy, vectors of R, lists of DuckDB
and Arrow without quotes, arrays of PostgreSQL, or names between separators.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from typing import Any

from train.labels.spelling import is_missing, text, tidy

SEPARATORS = "|;,\n"
_CLOSING = {"[": "]", "(": ")", "{": "}"}
_CALL = re.compile(r"(?:(?:np|numpy|pd|pandas)\.)?(?:array|list|set|frozenset|tuple|Index|c)\(")
_DTYPE = re.compile(r",\s*dtype=[^,\[\]()]*$")
_END = r"(?:\s*,\s*|\s*$|\s+)"  # NumPy puts white space alone between names
_QUOTED = re.compile(
    r"\s*(?P<call>(?:np|numpy)\.(?:str_|bytes_)\()?(?P<name>[bu]?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"))"
    rf"(?(call)\)){_END}",
    re.DOTALL,
)
_NOTHING = re.compile(rf"\s*(?:nan|NaN|None|null|NULL|<NA>)(?=\s*(?:,|$)|\s+['\"]){_END}")
_BARE = re.compile(r"\s*(?P<name>[^\s,'\"\[\](){}][^,\"\[\](){}]*)(?:,|$)")
_BROKEN = re.compile(r"[\[({]\s*['\"]")  # the beginning of a list, within a name


def separator_of(cells: Iterable[Any], allowed: str = SEPARATORS) -> str | None:
    """The first of the allowed separators that the texts of a column have."""
    texts = [text(cell) for cell in cells if isinstance(cell, str | bytes)]
    plain = [cell for cell in texts if not _is_list(cell)]
    return next((mark for mark in allowed if any(mark in cell for cell in plain)), None)


def names_of(cell: Any, separator: str | None) -> list[str] | None:
    """The names in a cell, sorted, each once; None where it, or each of its entries, stands for nothing.

    An empty list is one of no names. A cell is a list, or text: a list as programs write it, or names between
    separators. An entry of a list may be an object with a ``name``. Raises ValueError for anything else.
    """
    if not isinstance(cell, list) and is_missing(cell):
        return None
    if isinstance(cell, str | bytes):
        cell = _entries(text(cell), separator)
    elif isinstance(cell, int | float):
        cell = [text(cell)]
    if not isinstance(cell, list):
        raise ValueError("not a list of names")
    names = {tidy(text(name)) for name in map(_name, cell) if not is_missing(name)}
    return None if cell and not names else sorted(names)


def _name(entry: Any) -> str | None:
    if isinstance(entry, dict) and "name" in entry:
        entry = entry["name"]
    if entry is None or entry != entry:
        return None
    if isinstance(entry, str):
        return entry
    raise ValueError("not a list of names")


def _is_list(cell: str) -> bool:
    return cell[:1] in _CLOSING or cell[:2] in ('"[', "'[") or _CALL.match(cell) is not None


def _entries(cell: str, separator: str | None) -> Any:
    """The entries of a list that is written as text, of any of the kinds above."""
    while len(cell) > 1 and cell[0] == cell[-1] == '"':  # JSON, encoded once more
        try:
            cell = json.loads(cell)
        except ValueError:
            break
    if cell[:2] == "'[" and cell[-2:] == "]'":
        cell = cell[1:-1]
    if _is_list(cell.strip()):
        return _listed(cell.strip())
    names = [name.strip() for name in (cell.split(separator) if separator else [cell])]
    for mark in "\"'":
        if all(len(name) > 1 and name[0] == name[-1] == mark for name in names):
            names = [name[1:-1] for name in names]
    for name in names:
        if any(name.count(a) != name.count(b) for a, b in _CLOSING.items()) or name.count('"') % 2:
            raise ValueError(f"a piece of a list: {name!r}")
        if _BROKEN.search(name):
            raise ValueError(f"a list of an unknown kind: {name!r}")
    return names


def _listed(cell: str) -> Any:
    call = _CALL.match(cell)
    if call is not None:
        if cell[-1] != ")":
            raise ValueError(f"no end to {call[0]}")
        cell = _DTYPE.sub("", cell[call.end() : -1]).strip() or "[]"
    try:
        return json.loads(cell) or []
    except (ValueError, RecursionError):
        pass
    if call is not None and cell[0] not in _CLOSING:
        return _members(cell)
    if _CLOSING.get(cell[0]) != cell[-1]:
        raise ValueError("a list without its end")
    body = cell[1:-1]
    if cell[0] == "[" and "{" in body:
        return _objects(cell)
    return _members(body)


def _objects(cell: str) -> Any:
    """Dictionaries of Python. Each must be one literal: Python would join two texts side by side."""
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"no list ({type(error).__name__})") from error


def _members(body: str) -> list[str]:
    names = []
    place = 0
    body = body.strip()
    while place < len(body):
        if nothing := _NOTHING.match(body, place):
            names.append("")
            place = nothing.end()
            continue
        found = _QUOTED.match(body, place)
        if found:
            name = _literal(found["name"])
        else:
            found = _BARE.match(body, place)
            name = found["name"].strip() if found else ""
            if not name or name.strip(".") == "" or name.replace(".", "").isdigit() or " '" in name:
                raise ValueError("a list that is truncated or of an unknown kind")
        names.append(name)
        place = found.end() if found else len(body)
    return names


def _literal(quoted: str) -> str:
    try:
        name = ast.literal_eval(quoted.replace("\n", " "))
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"no text: {quoted!r}") from error
    return text(name)
