"""Where views are written: the suffix of a name says as what."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.storage.atomic import atomic
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.names import check_suffix

SUFFIXES = (".html", ".svg", ".csv")  # a page, a picture, a table


def write(path: Path, contents: Mapping[str, Callable[[], bytes]]) -> None:
    """The content that belongs to the suffix, whole or not at all. Raises UsageError, StoreError."""
    check_suffix(path, *SUFFIXES)
    written = contents[path.suffix]()
    with atomic(path) as temporary:
        temporary.write_bytes(written)


def csv_bytes(columns: Mapping[str, Sequence[Any]]) -> bytes:
    written = io.StringIO()
    write_csv(written, columns, zip(*columns.values(), strict=True))
    return written.getvalue().encode()
