"""Vectors of many rows in one file: float16, of unit length when read, read as far as they are needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extract.errors import StoreError
from pipeline.storage.atomic import atomic

_STORED = np.dtype("<f2")
_BLOCK_BYTES = 32 << 20  # of a block as float32

Numbers = NDArray[np.int64]
Vectors = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class VectorFile:
    """``count`` vectors of ``width`` values, one after the other. Nothing of the file is kept in memory.

    They begin with the file's vector ``first``, and numbers count from there. The file may be longer.
    """

    path: Path
    count: int
    width: int
    first: int = 0

    @classmethod
    def write(cls, path: Path, blocks: Iterable[Vectors]) -> VectorFile:
        """The vectors (rows, width) of all blocks; zeros stay zeros."""
        count, width = 0, 0
        with atomic(path) as temporary, temporary.open("wb") as file:
            for block in blocks:
                count, width = count + len(block), block.shape[1]
                _halved(block).tofile(file)
        return cls(path, count, width)

    def __post_init__(self) -> None:
        there = self.path.stat().st_size if self.path.exists() else -1
        if there < (self.first + self.count) * self._row_bytes:
            raise StoreError(
                f"{str(self.path)!r} does not hold {self.count} vectors of {self.width} values: delete its "
                "folder, and it is made again"
            )

    @property
    def _row_bytes(self) -> int:
        return self.width * _STORED.itemsize

    def part(self, first: int, end: int) -> VectorFile:
        """Those from number ``first`` to before ``end``."""
        return replace(self, first=self.first + first, count=end - first)

    def appended(self, block: Vectors) -> VectorFile:
        """The same with these vectors (rows, width) behind the last, over what may be there."""
        with self.path.open("r+b") as file:
            file.seek((self.first + self.count) * self._row_bytes)
            file.write(_halved(block).tobytes())
        return replace(self, count=self.count + len(block))

    def rows(self, numbers: Numbers) -> Vectors:
        """Some of the vectors, (numbers, width)."""
        size = self._row_bytes
        file = os.open(self.path, os.O_RDONLY)
        try:
            read = b"".join(os.pread(file, size, (self.first + n) * size) for n in numbers.tolist())
        finally:
            os.close(file)
        return unit(np.frombuffer(read, _STORED).reshape(len(numbers), self.width))

    def blocks(self) -> Iterator[tuple[int, Vectors]]:
        """All vectors, some at a time, with the number of the first."""
        most = max(1, _BLOCK_BYTES // (4 * max(1, self.width)))
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.first * self._row_bytes)
            for first in range(0, self.count, most):
                rows = min(most, self.count - first)
                values = np.fromfile(file, _STORED, rows * self.width)
                yield first, unit(values.reshape(rows, self.width))

    def nearest(self, queries: Vectors, most: int, alive: Mask | None = None) -> tuple[Numbers, Vectors]:
        """Numbers and cosines of the ``most`` nearest vectors of each query, by all of the file.

        ``queries`` (queries, width) are of unit length; both results are (queries, most or all there are),
        the nearest first. ``alive`` (count,) leaves out those that are False.
        """
        numbers = np.zeros((len(queries), 0), np.int64)
        cosines = np.zeros((len(queries), 0), np.float32)
        for first, block in self.blocks():
            if alive is None:
                there = np.arange(first, first + len(block))
            else:
                there = first + np.flatnonzero(alive[first : first + len(block)])
                block = block[there - first]
            here = np.broadcast_to(there, (len(queries), len(block)))
            found = best(here, queries @ block.T, most)
            numbers = np.concatenate([numbers, found[0]], axis=1)
            cosines = np.concatenate([cosines, found[1]], axis=1)
            numbers, cosines = best(numbers, cosines, most)
        return numbers, cosines


def best(numbers: Numbers, cosines: Vectors, most: int) -> tuple[Numbers, Vectors]:
    """The ``most`` largest of each row of (queries, candidates), largest first."""
    if cosines.shape[1] > most:
        order = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
        numbers = np.take_along_axis(numbers, order, axis=1)
        cosines = np.take_along_axis(cosines, order, axis=1)
    order = np.lexsort((numbers, -cosines), axis=1)
    return np.take_along_axis(numbers, order, axis=1), np.take_along_axis(cosines, order, axis=1)


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Scaled to length 1; zeros stay zeros."""
    scaled = vectors.astype(np.float32)
    scaled /= np.maximum(_lengths(scaled), np.finfo(np.float32).tiny)
    return scaled


def _halved(vectors: NDArray[np.floating]) -> NDArray[np.float16]:
    """As float16, scaled by a power of two to about unit length: values that were float16 keep every bit.

    A value below a hundred-thousandth of the length may lose some.
    """
    _, exponents = np.frexp(_lengths(vectors.astype(np.float32)))
    return np.ldexp(vectors.astype(np.float32), -exponents).astype(_STORED)


def _lengths(vectors: Vectors) -> Vectors:
    """(rows, 1)"""
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)), np.float32)[:, None]
