"""Tables as files of other programs: CSV of any dialect and Unicode encoding, JSON, JSON lines, Parquet.

What is something else is refused with what to do about it: never read by half.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from typing import Any

from pipeline.storage.csv_cells import unescaped

DELIMITERS = ",;\t|"
JSON_LINES = (".jsonl", ".ndjson")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OTHERS = (  # first bytes, what it is, what to do
    (b"PK\x03\x04", "an Excel workbook, or another ZIP file", "save the sheet as CSV UTF-8, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook of the old kind", "save the sheet as CSV UTF-8"),
    (b"\x1f\x8b", "compressed by gzip", "unpack it with gunzip"),
    (b"BZh", "compressed by bzip2", "unpack it with bunzip2"),
    (b"\xfd7zXZ", "compressed by xz", "unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it with unzstd"),
    (b"ARROW1", "an Arrow or Feather file", "write it as Parquet or CSV"),
    (b"SQLite format 3", "an SQLite database", "write the table as CSV"),
    (b"%PDF", "a PDF", "give a table as CSV"),
    (b"<!doctype", "a web page", "download the table that it shows"),
    (b"<html", "a web page", "download the table that it shows"),
    (b"\x80", "a pickle, which may run any code when it is read", "write the table as Parquet or CSV"),
)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*$', re.IGNORECASE)


@dataclass(frozen=True)
class Raw:
    """A header and rows as they stand in a file; a row may have more or fewer cells."""

    header: list[str]
    rows: list[list[Any]]


def read_raw(path: Path) -> Raw:
    """A table by its content; the suffix decides between JSON and JSON lines.

    Raises OSError, and ValueError that says what the file is instead and what to do.
    """
    with path.open("rb") as file:
        begin = file.read(16)
    if begin.startswith(b"PAR1") or path.suffix.lower() == ".parquet":
        return _parquet(path)
    for magic, what, remedy in _OTHERS:
        if begin.startswith(magic) or begin.lower().startswith(magic):
            raise ValueError(f"it is {what}: {remedy}")
    text = decoded(path.read_bytes())
    if path.suffix.lower() in (".json", *JSON_LINES) or text.lstrip()[:1] == "{":
        return _json(text, lines=path.suffix.lower() in JSON_LINES)
    return _csv(text)


def _parquet(path: Path) -> Raw:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read()
    columns = [column.to_pylist() for column in table.columns]
    return Raw(table.column_names, [list(row) for row in zip(*columns, strict=True)])


def decoded(content: bytes) -> str:
    """UTF-8, or UTF-16 and UTF-32 that say so, or UTF-16 of which every second byte is zero."""
    encoding, skipped = "utf-8", 0
    for mark, name in _BOMS:
        if content.startswith(mark):
            encoding, skipped = name, len(mark)
            break
    else:
        begin = content[:1000]
        even, odd = begin[::2].count(0), begin[1::2].count(0)
        if max(even, odd) > len(begin) // 4 and min(even, odd) == 0:
            encoding = "utf-16-be" if even else "utf-16-le"
    try:
        text = content[skipped:].decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(
            f"line {line} is not {encoding.upper()} (byte 0x{content[skipped + error.start]:02x}): save "
            "it as UTF-8 (in Excel `CSV UTF-8`), or if it is Western `iconv -f CP1252 -t UTF-8 OLD > NEW`"
        ) from error
    if "\0" in text:
        raise ValueError("it is not text: give a table as CSV (in UTF-8), JSON or Parquet")
    return text


def _json(text: str, *, lines: bool) -> Raw:
    """A list of objects, or an object on each line."""
    try:
        rows = _json_lines(text) if lines else json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        if lines:
            raise
        try:
            rows = _json_lines(text)
        except ValueError:
            raise error from None
    except (RecursionError, MemoryError):
        raise ValueError("its brackets are nested too deeply for a table: give a list of objects") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(
            "it is not a list of objects: give [{...}, {...}] or an object on each line (pandas: "
            "df.to_json(path, orient='records'))"
        )
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Raw(names, [[row.get(name) for name in names] for row in rows])


def _json_lines(text: str) -> list[Any]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    try:
        return [json.loads(line, object_pairs_hook=_once) for number, line in lines]
    except (RecursionError, MemoryError):
        raise ValueError("its brackets are nested too deeply: give an object on each line") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; JSON lets a name come twice, and readers then keep the last."""
    entry = dict(pairs)
    if len(entry) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has {twice!r} twice: name each column once")
    return entry


def _csv(text: str) -> Raw:
    """Lines before the header that begin with ``#`` are comments; ``sep=;`` names the separator.

    ``#`` may also be the name of the first column.
    """
    lines = list(dropwhile(_is_comment, io.StringIO(text, newline="")))
    named = _SEPARATOR_LINE.match(lines[0]) if lines else None
    if named:
        lines = list(dropwhile(_is_comment, lines[1:]))
    first = lines[0] if lines else ""
    if first.count("::") > 1:
        raise ValueError("its cells are separated by :: (as MovieLens' are): put tabs there, below a header")
    delimiter = named[1] if named else max(DELIMITERS, key=first.count)
    try:
        rows = _rows(lines, delimiter, csv.QUOTE_MINIMAL)
    except csv.Error:
        if delimiter != "\t":
            raise
        rows = _rows(lines, delimiter, csv.QUOTE_NONE)  # as IMDb's: a quotation mark is one
    header, *rows = rows or [[]]
    return Raw(header, rows)


def _is_comment(line: str) -> bool:
    return not line.strip() or (line.startswith("#") and line[1:2] not in DELIMITERS)


def _rows(lines: list[str], delimiter: str, quoting: Any) -> list[list[str]]:
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    try:
        return [[unescaped(cell) for cell in row] for row in reader if row]
    except csv.Error as error:
        raise csv.Error(
            f"line {reader.line_num}: {error}; a cell that holds a quotation mark is quoted, and the mark is "
            'doubled: "He said ""no"""'
        ) from error
