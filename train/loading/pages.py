"""Columns of numbers out of Parquet files, at the speed of decompression.

A vector column is a list of fixed size, so Arrow rebuilds it value by value, and takes float16 through a
builder of byte strings: 0.56 of the speed of this module (``python -m bench.loader --alone``). In
the file the values lie plain. A decompressed page is ``[repetition levels][definition levels][values]``,
and where nothing is null its end is an array. Only such columns are read here: PLAIN values in data pages
of version 1, as :mod:`pipeline.store.parts` writes them. :class:`NotPlain` says that a column is another;
then Arrow has to read it.

Format: https://parquet.apache.org/docs/file-format/data-pages/; page headers are structs in Thrift's
compact protocol, https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

_PHYSICAL = {2: "FIXED_LEN_BYTE_ARRAY", 4: "FLOAT", 8: "DOUBLE"}
_CODECS = {"UNCOMPRESSED": None, "ZSTD": "zstd", "SNAPPY": "snappy", "GZIP": "gzip", "BROTLI": "brotli"}
_DATA_PAGE = 0
_PLAIN = 0
_NOT_PLAIN = "the column is not stored as plain values"


class NotPlain(Exception):
    """A column chunk that is not plain values in data pages of version 1."""


@dataclass(frozen=True)
class ColumnChunk:
    """One column of one row group: ``values`` floats of ``dtype`` in ``length`` bytes from ``offset``.

    ``levels`` is how many kinds of levels (repetition, definition) its pages begin with.
    """

    offset: int
    length: int
    values: int
    dtype: np.dtype[Any]
    codec: str | None
    levels: int

    @classmethod
    def of(
        cls, metadata: pq.FileMetaData, *, row_group: int, column: int, dtype: np.dtype[Any]
    ) -> ColumnChunk:
        """Raises NotPlain where the column's description already says so."""
        found = metadata.row_group(row_group).column(column)
        described = metadata.schema.column(column)
        if (
            found.physical_type != _PHYSICAL[dtype.itemsize]
            or (dtype.itemsize == 2 and described.length != 2)
            or not set(found.encodings) <= {"PLAIN", "RLE"}
            or found.has_dictionary_page
            or found.compression not in _CODECS
            or described.max_repetition_level > 1
        ):
            raise NotPlain(_NOT_PLAIN)
        return cls(
            offset=found.data_page_offset,
            length=found.total_compressed_size,
            values=found.num_values,
            dtype=dtype,
            codec=_CODECS[found.compression],
            levels=(described.max_repetition_level > 0) + (described.max_definition_level > 0),
        )

    def read_into(self, out: NDArray[Any], data: memoryview, *, rows: NDArray[np.int64]) -> None:
        """Decode the chunk's bytes into ``out``, whose first axis are the rows of the group.

        Only ``rows`` (ascending) are needed: pages that hold none of them are skipped, and their part of
        ``out`` is left as it is. Raises NotPlain.
        """
        if out.size != self.values:
            raise NotPlain(_NOT_PLAIN)
        flat, width = out.reshape(-1), out.size // len(out)
        first = 0
        for count, size, body in _pages(data, self.values):
            last = first + count
            here = np.searchsorted(rows, [first // width, -(-last // width)])
            if here[0] < here[1]:
                flat[first:last] = self._values(body, size, count)
            first = last

    def _values(self, body: memoryview, size: int, count: int) -> NDArray[Any]:
        page: Any = body
        if self.codec is not None:
            page = memoryview(pa.Codec(self.codec).decompress(body, decompressed_size=size))
        start = 0
        for _ in range(self.levels):
            start += 4 + int.from_bytes(page[start : start + 4], "little")
        if len(page) - start != count * self.dtype.itemsize:  # something is null
            raise NotPlain(_NOT_PLAIN)
        return np.frombuffer(page, self.dtype, count, start)


def _pages(data: memoryview, values: int) -> Iterator[tuple[int, int, memoryview]]:
    """Number of values, size when decompressed, and bytes of each data page, until all values are there."""
    position = seen = 0
    try:
        while seen < values:
            header, position = _struct(data, position)
            kind, size, stored = header[1], header[2], header[3]
            page = header.get(5)  # DataPageHeader of version 1
            if kind != _DATA_PAGE or page is None or page[2] != _PLAIN:
                raise NotPlain(_NOT_PLAIN)
            yield page[1], size, data[position : position + stored]
            position += stored
            seen += page[1]
    except (IndexError, KeyError, TypeError) as error:
        raise NotPlain("a page header cannot be read") from error


def _struct(data: memoryview, position: int) -> tuple[dict[int, Any], int]:
    """A struct of Thrift's compact protocol: field number -> value, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while True:
        byte = data[position]
        position += 1
        if byte == 0:
            return fields, position
        kind = byte & 0x0F
        if byte >> 4:
            number += byte >> 4
        else:
            number, position = _zigzag(data, position)
        if kind in (1, 2):  # the type is the value of a boolean
            fields[number] = kind == 1
        else:
            fields[number], position = _value(data, position, kind)


def _value(data: memoryview, position: int, kind: int) -> tuple[Any, int]:
    if kind in (4, 5, 6):  # int16, int32, int64
        return _zigzag(data, position)
    if kind == 8:  # bytes (statistics); an int8 or a list has no place in a page header
        length, position = _unsigned(data, position)
        return bytes(data[position : position + length]), position + length
    if kind == 12:
        return _struct(data, position)
    raise TypeError(f"type {kind} in a page header")


def _unsigned(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _zigzag(data: memoryview, position: int) -> tuple[int, int]:
    value, position = _unsigned(data, position)
    return (value >> 1) ^ -(value & 1), position
