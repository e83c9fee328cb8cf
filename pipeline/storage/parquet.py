"""Parquet files wherever they lie; of a remote one only those bytes are fetched that are asked for."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from pipeline.storage.location import Location, is_remote, read_bytes, storage_errors

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset
    from upath import UPath

_TAIL_BYTES = 64 << 10  # holds the footer of nearly every part
_BLOCK_BYTES = 8 << 20  # about two row groups


def read_metadata(path: Location) -> pq.FileMetaData:
    """A file's footer: one request for a remote one, two where the footer is long.

    Raises FileNotFoundError; OSError or ArrowException for what is not a Parquet file, StoreError for
    storage that cannot be read.
    """
    if not is_remote(path):
        _require_file(path)
        return pq.read_metadata(path)
    tail = _tail(path, _TAIL_BYTES)
    if tail[-4:] == b"PAR1":
        length = int.from_bytes(tail[-8:-4], "little") + 8
        if length > len(tail) == _TAIL_BYTES:
            tail = _tail(path, length)
    return pq.read_metadata(pa.BufferReader(tail))


@contextmanager
def open_parquet(path: Location, *, whole: bool = False, **options: Any) -> Iterator[pq.ParquetFile]:
    """A file to read rows from. A remote one is fetched in blocks, or in one request if ``whole``.

    Errors as above, also while rows are read.
    """
    if not is_remote(path):
        _require_file(path)
    if not is_remote(path) or whole:
        source = pa.BufferReader(read_bytes(path)) if is_remote(path) else path
        with pq.ParquetFile(source, **options) as file:
            yield file
        return
    reader = _Reader(path, cache_type="readahead", block_size=_BLOCK_BYTES)
    try:
        with pq.ParquetFile(pa.PythonFile(reader, mode="r"), **options) as file:
            yield file
    finally:
        reader.close()


def parquet_dataset(paths: Sequence[Location], schema: pa.Schema | None = None) -> Dataset:
    """Files of one folder as a dataset; filters are pushed down to the row groups that are fetched.

    ``schema``: of all files together, those that lack a column have nulls; None: that of the first.
    """
    import pyarrow.dataset as ds  # brings pandas along

    first = paths[0]
    if not is_remote(first):
        return ds.dataset([str(path) for path in paths], schema=schema, format="parquet", partitioning=None)
    files = [cast("UPath", path).path for path in paths]
    system = pyarrow.fs.PyFileSystem(_Ranges(first.parent))
    return ds.dataset(files, schema=schema, filesystem=system, format="parquet", partitioning=None)


def _require_file(path: Location) -> None:
    """Raises OSError for a folder, and for a pipe, which would be waited for."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")


def _tail(path: UPath, length: int) -> bytes:
    with storage_errors(path):
        try:
            return cast(bytes, path.fs.cat_file(path.path, start=-length))
        except OSError as error:  # some servers have no range of an empty object
            if error.errno == errno.EINVAL and path.fs.size(path.path) == 0:
                return b""
            raise


class _Reader:
    """A remote file of which Arrow reads ranges; its troubles are StoreErrors."""

    def __init__(self, path: UPath, **options: Any) -> None:
        self._path = path
        with storage_errors(path):
            self._file = path.fs.open(path.path, "rb", **options)

    def read(self, size: int = -1) -> bytes:
        with storage_errors(self._path):
            return cast(bytes, self._file.read(size))

    def seek(self, offset: int, whence: int = 0) -> int:
        return cast(int, self._file.seek(offset, whence))

    def tell(self) -> int:
        return cast(int, self._file.tell())

    def close(self) -> None:
        self._file.close()

    @property
    def closed(self) -> bool:
        return cast(bool, self._file.closed)


class _Ranges(pyarrow.fs.FSSpecHandler):  # type: ignore[misc]
    """Arrow joins neighbouring columns into one range itself, so nothing beyond it is read ahead."""

    def __init__(self, folder: UPath) -> None:
        super().__init__(folder.fs)
        self._folder = folder

    def open_input_file(self, path: str) -> pa.PythonFile:
        return pa.PythonFile(_Reader(self._folder / path.rpartition("/")[2], cache_type="none"), mode="r")
