"""LMTD of Wehrmann and Barros: the published ``lmtd9_resnet152.pickle`` as a store, its genres as labels.

What is known of the files is what their authors' code does with them (github.com/jwehrmann/lmtd,
``lmtd9/lmtd9.py`` and ``lmtd9/database.py``). The pickle, written by Python 2, is a dictionary from a
trailer's number, six digits, to its keyframes' vectors, (keyframes, 2048); what has another number of
dimensions is passed over there, and here. Genres and splits are in ``lmtd9/data/database.db``, SQLite: the
table ``lmtd9_0`` has ``id``, ``set`` (0 training, 1 validation, 2 test) and a column ``is...`` of each genre.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.options import Dtype
from pipeline.storage.atomic import atomic
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.location import Location
from train.errors import DataError
from train.importers.pickles import load_arrays
from train.importers.writing import Source, write_store

EXPERT = "resnet152"
PARTS = {0: "train", 1: "validation", 2: "test"}
Vectors = NDArray[Any]


@dataclass(frozen=True)
class Imported:
    """What was written; ``left_out``: trailers whose entry holds no vectors; ``labelled``: rows of labels."""

    videos: int
    dim: int
    left_out: tuple[str, ...]
    labelled: int = 0
    genres: tuple[str, ...] = ()


def import_lmtd(
    path: Path,
    out: Location,
    labels: Path | None = None,
    *,
    database: Path | None = None,
    dtype: Dtype = "float16",
) -> Imported:
    """Write a store to ``out`` and, with the ``database``, ``labels`` as CSV (video_id, genres, split).

    The file knows no times: a row's interval is its number, one second long. All is looked at before
    anything is written. Raises DataError, StoreError.
    """
    if (labels is None) != (database is None):
        raise DataError(
            "genres are not in the pickle but in lmtd9/data/database.db of github.com/jwehrmann/lmtd: give "
            "--database and --labels, or neither"
        )
    rows = {} if database is None else _labels(database)
    vectors, left_out = _vectors(path)
    dim = next(iter(vectors.values())).shape[1]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    source = Source(
        EXPERT,
        dim,
        vectors.get,
        {"importer": "lmtd", "version": 1, "file": digest},
        dtype=dtype,
        notes={"file": path.name, "times": "row numbers: the file holds none"},
    )
    for name in vectors:
        source.rows(name)  # raises for vectors that cannot be stored
    write_store(out, list(vectors), [source], options={"import": "lmtd", "file": path.name})
    if labels is not None:
        _write_labels(labels, rows)
    used = sorted({genre for genres, _ in rows.values() for genre in genres})
    return Imported(len(vectors), dim, left_out, len(rows), tuple(used))


def _vectors(path: Path) -> tuple[dict[str, Vectors], tuple[str, ...]]:
    """(keyframes, dim) of each trailer, and the trailers that have none."""
    content = load_arrays(path)
    if not isinstance(content, Mapping) or not content:
        raise DataError(
            f"{str(path)!r} is not lmtd9_resnet152.pickle: it is not a dictionary from trailers to vectors"
        )
    found: dict[str, Vectors] = {}
    left_out = []
    for key, value in content.items():
        name = key if isinstance(key, str) else f"{key:06d}" if isinstance(key, int) else ""
        if not name:
            raise DataError(f"{str(path)!r} has an entry {key!r}; names of trailers are text: fetch it again")
        array = _array(value)
        if array is None:
            left_out.append(name)
        else:
            found[name] = array
    if not found:
        raise DataError(f"{str(path)!r} has no trailer with vectors: fetch it again")
    return found, tuple(sorted(left_out))


def _array(value: Any) -> Vectors | None:
    """An array, or a list of vectors of one length; None where it is not two-dimensional."""
    try:
        array = np.asarray(value)
    except ValueError:  # vectors of several lengths
        return None
    return array if array.ndim == 2 and array.size and array.dtype.kind in "fiu" else None


def _labels(database: Path) -> dict[str, tuple[list[str], str]]:
    """Trailer -> its genres and its part of the split. The database is opened to be read only."""
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            cursor = connection.execute("select * from lmtd9_0")
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
    except sqlite3.Error as error:
        raise DataError(
            f"--database {str(database)!r} cannot be read ({error}): give lmtd9/data/database.db of LMTD"
        ) from error
    genres = sorted(name for name in names if name.startswith("is"))
    try:
        return {
            f"{int(row['id']):06d}": (
                [g.removeprefix("is") for g in genres if int(row[g])],
                PARTS[row["set"]],
            )
            for row in rows
        }
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"--database {str(database)!r}: the table lmtd9_0 needs id, set (0, 1, 2) and is... of each "
            f"genre, 0 or 1 ({type(error).__name__}: {error})"
        ) from error


def _write_labels(path: Path, rows: Mapping[str, tuple[list[str], str]]) -> None:
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        written = ((name, genres, part) for name, (genres, part) in sorted(rows.items()))
        write_csv(file, ("video_id", "genres", "split"), written)
