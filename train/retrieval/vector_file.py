"""Vectors of many videos in one file: unit length, float16, read as far as they are needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extract.errors import StoreError
from pipeline.storage.atomic import atomic

_STORED = np.dtype("<f2")
_BLOCK_BYTES = 32 << 20  # of a block as float32

Numbers = NDArray[np.int64]
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class VectorFile:
    """``count`` vectors of ``width`` values, one after the other. Nothing of the file is kept in memory."""

    path: Path
    count: int
    width: int

    @classmethod
    def write(cls, path: Path, blocks: Iterable[Vectors]) -> VectorFile:
        """The vectors (rows, width) of all blocks, scaled to unit length; zeros stay zeros."""
        count, width = 0, 0
        with atomic(path) as temporary, temporary.open("wb") as file:
            for block in blocks:
                count, width = count + len(block), block.shape[1]
                unit(block).astype(_STORED).tofile(file)
        return cls(path, count, width)

    def __post_init__(self) -> None:
        there = self.path.stat().st_size if self.path.exists() else -1
        if there != self.count * self.width * _STORED.itemsize:
            raise StoreError(
                f"{str(self.path)!r} does not hold {self.count} vectors of {self.width} values: delete its "
                "folder and retrieve again"
            )

    def rows(self, numbers: Numbers) -> Vectors:
        """Some of the vectors, (numbers, width)."""
        size = self.width * _STORED.itemsize
        file = os.open(self.path, os.O_RDONLY)
        try:
            read = b"".join(os.pread(file, size, number * size) for number in numbers.tolist())
        finally:
            os.close(file)
        return np.frombuffer(read, _STORED).reshape(len(numbers), self.width).astype(np.float32)

    def blocks(self) -> Iterator[tuple[int, Vectors]]:
        """All vectors, some at a time, with the number of the first."""
        most = max(1, _BLOCK_BYTES // (4 * max(1, self.width)))
        with self.path.open("rb", buffering=0) as file:
            for first in range(0, self.count, most):
                rows = min(most, self.count - first)
                values = np.fromfile(file, _STORED, rows * self.width)
                yield first, values.astype(np.float32).reshape(rows, self.width)

    def nearest(self, queries: Vectors, most: int) -> tuple[Numbers, Vectors]:
        """Numbers and cosines of the ``most`` nearest vectors of each query, by all of the file.

        ``queries`` (queries, width) are of unit length; both results are (queries, most or all there are),
        the nearest first.
        """
        numbers = np.zeros((len(queries), 0), np.int64)
        cosines = np.zeros((len(queries), 0), np.float32)
        for first, block in self.blocks():
            here = np.broadcast_to(np.arange(first, first + len(block)), (len(queries), len(block)))
            numbers = np.concatenate([numbers, here], axis=1)
            cosines = np.concatenate([cosines, queries @ block.T], axis=1)
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


def unit(vectors: Vectors) -> Vectors:
    """Scaled to length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
    return scaled
