"""Rows of one part: the vectors and their times, read row group by row group."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from extract.errors import StoreError, command
from extract.tables import embedding_matrix
from pipeline.storage.location import Location, storage_errors
from pipeline.storage.parquet import open_parquet, read_metadata
from train.loading.memory import Arrays
from train.loading.pages import ColumnChunk, NotPlain
from train.loading.steps import EMBEDDING

_START = "start_seconds"
_VECTOR = "embedding.list.element"


def read_rows(
    path: Location,
    rows: NDArray[np.int64],
    *,
    of: int,
    dim: int,
    dtype: np.dtype[Any],
    columns: tuple[str, ...] = (EMBEDDING,),
    arrays: Arrays | None = None,
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Vectors (rows, dim) as they are stored and ``start_seconds`` (rows,) of some rows of a part.

    ``rows`` ascend; ``of`` is how many rows the part had when its footer was read. ``columns`` are what a
    vector is made of; with ``dim`` 0 the times alone are read, also of a table without vectors. Holds one
    row group beside the result, and fetches only row groups that are needed; large arrays are taken from
    ``arrays``. Raises StoreError.
    """
    arrays = arrays or Arrays(0)
    vectors = arrays.empty((len(rows), dim), dtype)
    starts = np.empty(len(rows), np.float64)
    try:
        metadata = read_metadata(path)
        if metadata.num_rows != of:
            raise StoreError(f"{str(path)!r} was rewritten while it was read: start again")
        with _bytes_of(path, arrays) as fetch:
            for group, first, low, high in _groups(metadata, rows):
                inner = rows[low:high] - first
                out = vectors[low:high], starts[low:high]
                try:
                    if columns != (EMBEDDING,):
                        raise NotPlain("numbers of columns")
                    _read_plain(fetch, metadata, group, inner, out, arrays)
                except NotPlain:
                    _read_with_arrow(path, group, inner, out, columns)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"cannot read part {str(path)!r}: {error}; to see what to do: "
            f"`{command('verify', path.parent.parent)}`"
        ) from error
    return vectors, starts


def _groups(metadata: pq.FileMetaData, rows: NDArray[np.int64]) -> Iterator[tuple[int, int, int, int]]:
    """Row groups that hold some of ``rows``: index, first row, and which of ``rows`` those are."""
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    edges = np.concatenate([[0], np.cumsum(sizes)])
    cuts = np.searchsorted(rows, edges)
    for group, first in enumerate(edges[:-1]):
        if cuts[group] < cuts[group + 1]:
            yield group, int(first), int(cuts[group]), int(cuts[group + 1])


Out = tuple[NDArray[Any], NDArray[np.float64]]


def _read_plain(
    fetch: _Fetch,
    metadata: pq.FileMetaData,
    group: int,
    rows: NDArray[np.int64],
    out: Out,
    arrays: Arrays,
) -> None:
    """One range of bytes for both columns: what lies between them is small (:mod:`pipeline.store.parts`)."""
    columns = {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}
    vectors, starts = out
    wanted = {_START: starts, _VECTOR: vectors} if vectors.shape[1] else {_START: starts}
    if not wanted.keys() <= columns.keys():
        raise NotPlain("the columns have other names")
    chunks = [
        (ColumnChunk.of(metadata, row_group=group, column=columns[name], dtype=target.dtype), target)
        for name, target in wanted.items()
    ]
    offset = min(chunk.offset for chunk, _ in chunks)
    data = fetch(offset, max(chunk.offset + chunk.length for chunk, _ in chunks) - offset)
    size = metadata.row_group(group).num_rows
    for chunk, target in chunks:
        part = data[chunk.offset - offset :][: chunk.length]
        if len(rows) == size:
            chunk.read_into(target, part, rows=rows)
            continue
        whole = arrays.empty((size, *target.shape[1:]), target.dtype)
        chunk.read_into(whole, part, rows=rows)
        np.take(whole, rows, axis=0, out=target, mode="clip")  # "raise" would copy


def _read_with_arrow(
    path: Location, group: int, rows: NDArray[np.int64], out: Out, columns: tuple[str, ...]
) -> None:
    """The same for files that another writer wrote, or in another encoding, and for further columns."""
    wanted = columns if out[0].shape[1] else ()
    with open_parquet(path) as file:
        table = file.read_row_group(group, columns=[*wanted, _START], use_threads=False)
    first = 0
    for name in wanted:
        values = embedding_matrix(table[name]) if name == EMBEDDING else table[name].to_numpy()[:, None]
        out[0][:, first : first + values.shape[1]] = values[rows]
        first += values.shape[1]
    out[1][:] = table[_START].to_numpy()[rows]


class _Fetch(Protocol):
    def __call__(self, offset: int, length: int, /) -> memoryview: ...


@contextmanager
def _bytes_of(path: Location, arrays: Arrays) -> Iterator[_Fetch]:
    """Ranges of a file, wherever it lies; every call is one request."""
    if not isinstance(path, Path):
        system, key = path.fs, path.path

        def remote(offset: int, length: int) -> memoryview:
            with storage_errors(path):
                return memoryview(cast(bytes, system.cat_file(key, start=offset, end=offset + length)))

        yield remote
        return
    file = os.open(path, os.O_RDONLY)

    def local(offset: int, length: int) -> memoryview:
        data = arrays.empty((length,), np.uint8).data
        return data[: os.preadv(file, [data], offset)]

    try:
        yield local
    finally:
        os.close(file)
