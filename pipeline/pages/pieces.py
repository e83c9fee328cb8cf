"""Data that pages load: scripts that say one thing, so that a page opened from a disk can read them.

A browser lets a page from ``file:`` load scripts and pictures beside it and nothing else. Each piece is one
call with JSON in it that is plain ASCII without <, > and &, so that no text can be anything but a text.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

_ESCAPES = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&"}


def script_json(data: Any) -> str:
    r"""JSON that may stand in a script: plain ASCII, with <, > and & as \u003c and so on. No NaN."""
    written = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return written.translate(_ESCAPES)


def write_piece(folder: Path, name: str, data: Any) -> int:
    """``data`` as the piece ``name`` (a/b), a script of its own; its size in bytes."""
    path = folder / f"{name}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.write_bytes(f"marquee.piece({script_json(name)},{script_json(data)});\n".encode())


def read_piece(folder: Path, name: str) -> Any:
    """What :func:`write_piece` wrote. Raises OSError, ValueError for another file."""
    text = (folder / f"{name}.js").read_text("ascii")
    begin, end = f"marquee.piece({script_json(name)},", ");\n"
    if not (text.startswith(begin) and text.endswith(end)):
        raise ValueError(f"{name}.js is not a piece of data")
    return json.loads(text[len(begin) : -len(end)])


def numbers(values: Any, digits: int = 3) -> list[float | None]:
    """Rounded, for a page; None where there is no number."""
    found = np.asarray(values, np.float64).round(digits)
    return [value if np.isfinite(value) else None for value in found.tolist()]
