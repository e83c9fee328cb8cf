"""From rows to Arrow: the one place that knows how a :class:`TableSpec` lies in a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from extract.declarations import TableSpec
from extract.options import Dtype
from extract.types import Column, Row

_TYPES = {
    "string": pa.string(),
    "binary": pa.binary(),
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "list<float32>": pa.list_(pa.float32()),
    "list<string>": pa.list_(pa.string()),
}
_KEY = (
    pa.field("video_id", pa.string(), nullable=False),
    pa.field("row", pa.int32(), nullable=False),
    pa.field("start_seconds", pa.float64(), nullable=False),
    pa.field("end_seconds", pa.float64(), nullable=False),
)
KEY_COLUMNS = tuple(field.name for field in _KEY)
LATEST_SECONDS = 1e10  # three centuries: clocks that began in 1900 (NTP) or 1970 show less

Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)


def embedding_dtype(spec: TableSpec, dtype: Dtype) -> Dtype | None:
    """What vectors of this table are stored in when ``dtype`` was asked for; None without vectors."""
    if spec.embedding is None:
        return None
    return "float32" if spec.embedding.float32 else dtype


def arrow_fields(columns: Iterable[Column]) -> list[pa.Field]:
    return [pa.field(column.name, _TYPES[column.type]) for column in columns]


def table_schema(spec: TableSpec, *, dtype: Dtype = "float16") -> pa.Schema:
    """``video_id, row, start_seconds, end_seconds``, the table's columns, ``embedding``.

    ``embedding`` is ``fixed_size_list<dtype>[D]``, D the product of :attr:`Embedding.shape`.
    """
    fields = list(_KEY)
    fields += arrow_fields(spec.columns)
    stored = embedding_dtype(spec, dtype)
    if spec.embedding is not None and stored is not None:
        kind = pa.float16() if stored == "float16" else pa.float32()
        fields.append(pa.field("embedding", pa.list_(kind, _size(spec)), nullable=False))
    return pa.schema(fields)


def to_batch(
    rows: Sequence[Row], *, spec: TableSpec, video_id: str, first_row: int = 0, dtype: Dtype = "float16"
) -> pa.RecordBatch:
    """Consecutive rows of one video, numbered from ``first_row``, as a record batch.

    A column may hold None. Raises ValueError where a row lacks a column, has one that the table
    does not know, or where a vector has another size, is not finite, or leaves float16's range.
    """
    schema = table_schema(spec, dtype=dtype)
    expected = set(schema.names) - {"video_id", "row"}
    for row in rows:
        if row.keys() != expected:
            raise ValueError(f"a row of this table has {sorted(expected)}, got {sorted(row)}")
    columns: dict[str, Any] = {
        "video_id": [video_id] * len(rows),
        "row": np.arange(first_row, first_row + len(rows), dtype=np.int32),
    }
    for name in schema.names[2:]:
        values = [row[name] for row in rows]
        columns[name] = _vectors(values, spec, dtype) if name == "embedding" else values
    arrays = [
        columns[field.name]
        if isinstance(columns[field.name], pa.Array)
        else pa.array(columns[field.name], type=field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def embedding_matrix(column: pa.Array | pa.ChunkedArray) -> np.ndarray[Any, np.dtype[Any]]:
    """The ``embedding`` column as an array (rows, D). A null, which no writer of ours leaves, is NaN."""
    array = _whole(column)
    values: np.ndarray[Any, np.dtype[Any]] = array.flatten().to_numpy(zero_copy_only=False)
    vectors = values.reshape(len(array) - array.null_count, array.type.list_size)
    if not array.null_count:
        return vectors
    found = np.full((len(array), array.type.list_size), np.nan, values.dtype)
    found[array.is_valid().to_numpy(zero_copy_only=False)] = vectors
    return found


def valid_vectors(vectors: np.ndarray[Any, Any], spec: TableSpec) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For each value whether it may be stored: finite, or NaN where the table allows that."""
    allowed = np.isfinite(vectors)
    if spec.embedding is not None and spec.embedding.nan:
        allowed |= np.isnan(vectors)
    return np.asarray(allowed)


def is_time(seconds: float) -> bool:
    """Whether it can be a time of a film."""
    return abs(seconds) <= LATEST_SECONDS  # NaN is not


def valid_intervals(
    start: np.ndarray[Any, Any], end: np.ndarray[Any, Any]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """For each row whether both ends are times of a film, and in order."""
    latest = np.maximum(np.abs(start), np.abs(end))  # NaN if one is
    return np.asarray((latest <= LATEST_SECONDS) & (start <= end), bool)


def timed_rows(rows: Rows) -> Rows:
    """Those that are somewhere in time: a damaged store may say anything, and no axis shows infinity."""
    start, end = (_numbers(rows[name]) for name in KEY_COLUMNS[2:])
    kept = valid_intervals(start, end)
    return rows if kept.all() else rows.filter(pa.array(kept))


def _numbers(column: pa.Array | pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.float64]]:
    """With NaN for null."""
    return np.asarray(_whole(column).to_numpy(zero_copy_only=False), np.float64)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _size(spec: TableSpec) -> int:
    assert spec.embedding is not None
    return int(np.prod(spec.embedding.shape))


def _vectors(values: Sequence[Any], spec: TableSpec, dtype: Dtype) -> pa.Array:
    stored = np.dtype(embedding_dtype(spec, dtype))
    size = _size(spec)
    matrix = np.empty((len(values), size), dtype=stored)
    for i, value in enumerate(values):
        vector = np.asarray(value)
        if vector.size != size:
            raise ValueError(f"an embedding of this table has {size} values, got shape {vector.shape}")
        if not valid_vectors(vector, spec).all():
            raise ValueError("an embedding is not finite (NaN or infinity)")
        with np.errstate(over="ignore"):
            matrix[i] = vector.reshape(-1)
    if not valid_vectors(matrix, spec).all():
        raise ValueError(f"an embedding leaves {stored}'s range of ±65504: use --dtype float32")
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), size)
