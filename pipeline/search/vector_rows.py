"""The vectors of a table in a folder beside the store, which grows with it, and an index of them.

``rows.sqlite`` says which rows of the store the vectors are, and follows the store's parts
(:mod:`pipeline.search.part_index`). ``vectors-N.f16`` has the vectors, and only grows: those of parts that
are gone stay in it, unread, until they are more than the others; then both are begun anew with the next N.
``index-N/`` is FAISS's. Vectors that it has not yet taken in are all compared, so that it need not grow with
every part.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from extract.errors import StoreError
from extract.tables import embedding_matrix
from pipeline.search.part_index import (
    Follower,
    Format,
    Log,
    connect,
    follow,
    index_path,
    is_damaged,
    release,
    remove,
    transaction,
)
from pipeline.storage.atomic import refusal
from pipeline.storage.parquet import open_parquet
from pipeline.store.footer import Footer
from pipeline.store.layout import PartFile, Store
from pipeline.vectors.vector_file import Mask, Numbers, VectorFile, Vectors
from pipeline.vectors.vector_index import VectorIndex, remove_index

MOST_UNINDEXED = 1 << 16  # compared in some tenths of a second
VECTOR_COLUMNS = ("video_id", "start_seconds", "end_seconds", "embedding")
_ROWS = 1 << 14  # of a part in memory at a time
_SCHEMA = """
CREATE TABLE runs (first INTEGER PRIMARY KEY, rows INTEGER, part INTEGER, video TEXT, intervals BLOB);
CREATE INDEX runs_of_part ON runs (part, rows);
CREATE INDEX runs_of_video ON runs (video);
CREATE TABLE file (generation INTEGER, count INTEGER, width INTEGER);
INSERT INTO file VALUES (0, 0, 0);
"""  # a run: consecutive rows of a video; `intervals`: start and end in seconds of each
_FORMAT = Format(application=0x4D515645, version=1, schema=_SCHEMA)  # "MQVE"


@dataclass(frozen=True)
class Moment:
    """An interval of a video and its cosine, from -1 to 1, to what was sought."""

    video_id: str
    start_seconds: float
    end_seconds: float
    cosine: float


class VectorRows:
    """The vectors of a store's table, up to date when it is made."""

    def __init__(self, store: Store, table: str, width: int, log: Log = lambda text: None) -> None:
        self.folder = rows_folder(store, table)
        self._store, self._table, self._width, self._log = store, table, width, log
        try:
            self._open()
        except (sqlite3.DatabaseError, _Damaged) as error:
            self._begin_anew(error)

    def close(self) -> None:
        self._connection.close()

    def nearest(self, queries: Vectors, most: int) -> list[list[Moment]]:
        """For each query, (queries, width) of unit length, the moments most like it, the likest first."""
        numbers, cosines = self.index.nearest(queries, most, self._alive())
        return [
            [self._moment(number, cosine) for number, cosine in zip(*found, strict=True) if number >= 0]
            for found in zip(numbers.tolist(), cosines.tolist(), strict=True)
        ]

    def of_video(self, video_id: str) -> tuple[NDArray[np.float64], Numbers]:
        """Start and end of each of a video's rows, (rows, 2), and their numbers among the vectors."""
        runs = self._connection.execute(
            "SELECT first, intervals FROM runs WHERE video = ? ORDER BY first", (video_id,)
        ).fetchall()
        seconds = [_intervals(blob) for _, blob in runs]
        numbers = [first + np.arange(len(own)) for (first, _), own in zip(runs, seconds, strict=True)]
        return np.concatenate([np.zeros((0, 2)), *seconds]), np.concatenate([np.zeros(0, np.int64), *numbers])

    def vectors(self, numbers: Numbers) -> Vectors:
        return self.file.rows(numbers)

    def _moment(self, number: int, cosine: float) -> Moment:
        first, video_id, blob = self._connection.execute(
            "SELECT first, video, intervals FROM runs WHERE first <= ? ORDER BY first DESC LIMIT 1", (number,)
        ).fetchone()
        start, end = _intervals(blob)[number - first].tolist()
        return Moment(video_id, start, end, cosine)

    def _alive(self) -> Mask | None:
        """Which vectors are rows of the store; None: all."""
        if self._alive_rows() == self.file.count:
            return None
        alive = np.zeros(self.file.count, bool)
        for first, rows in self._connection.execute("SELECT first, rows FROM runs"):
            alive[first : first + rows] = True
        return alive

    def _open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._connection = connect(self.folder / "rows.sqlite", _FORMAT)
        try:
            self._follow()
            wasteful = self.file.count > 2 * self._alive_rows()
            if wasteful or self._unindexed() > MOST_UNINDEXED:
                release(self._connection)
                with _alone(self.folder / "index.lock") as alone:
                    if not alone:
                        self._log("another search makes the index: until then all vectors are compared")
                    elif wasteful:
                        self._next_generation()
                    self._follow()
                    if alone and self._unindexed() > MOST_UNINDEXED:
                        release(self._connection)
                        self._log(f"{self._unindexed():,} vectors of {self._table} are indexed")
                        self.index.grow(log=self._log)
                self._follow()
        except BaseException:
            self._connection.close()
            raise

    def _follow(self) -> None:
        """Up to date with the store; until the connection is released, nobody changes anything."""
        generation, count, width = self._said()
        if width != self._width:
            if count:
                raise _Damaged(f"it has vectors of {width} values")
            with transaction(self._connection):
                self._connection.execute("UPDATE file SET width = ?", (self._width,))
        self._path(generation).touch()
        self._checked(generation, count)
        follow(self._connection, self._store, [self._table], Follower(self._learn, _forget), self._log)
        generation, count, _ = self._said()
        self.file = self._checked(generation, count)
        self.index = VectorIndex(self.file, self.folder / f"index-{generation}")

    def _checked(self, generation: int, count: int) -> VectorFile:
        try:
            return VectorFile(self._path(generation), count, self._width)
        except StoreError as error:
            raise _Damaged(f"{self._path(generation).name} is too short") from error

    def _alive_rows(self) -> int:
        return int(self._connection.execute("SELECT coalesce(sum(rows), 0) FROM runs").fetchone()[0])

    def _unindexed(self) -> int:
        return sum(end - first for first, end in self.index.uncovered())

    def _next_generation(self) -> None:
        """Without the vectors of parts that are gone; the store is read again."""
        old = self._said()[0]
        with transaction(self._connection):
            for statement in ("DELETE FROM runs", "DELETE FROM parts", "UPDATE file SET count = 0"):
                self._connection.execute(statement)
            self._connection.execute("UPDATE file SET generation = generation + 1")
        self._path(old).unlink(missing_ok=True)
        remove_index(self.folder / f"index-{old}")

    def _begin_anew(self, error: Exception) -> None:
        if not isinstance(error, sqlite3.DatabaseError) or is_damaged(error):
            self._log(f"{str(self.folder)!r} cannot be used ({error}): it is made anew")
            remove(self.folder / "rows.sqlite")
            for path in self.folder.glob("vectors-*.f16"):
                path.unlink(missing_ok=True)
            for path in self.folder.glob("index-*"):
                remove_index(path)
        self._open()

    def _learn(self, connection: sqlite3.Connection, number: int, part: PartFile, footer: Footer) -> None:
        generation, count, width = self._said()
        file = VectorFile(self._path(generation), count, width)
        with open_parquet(part.path) as parquet:
            for batch in parquet.iter_batches(batch_size=_ROWS, columns=list(VECTOR_COLUMNS)):
                for video_id, seconds, vectors in _videos_of(batch):
                    row = (file.count, len(vectors), number, video_id, seconds.astype("<f8").tobytes())
                    connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", row)
                    file = self._appended(file, vectors)
        with file.path.open("rb") as written:
            os.fsync(written.fileno())
        connection.execute("UPDATE file SET count = ?", (file.count,))

    @staticmethod
    def _appended(file: VectorFile, vectors: Vectors) -> VectorFile:
        try:
            return file.appended(vectors)
        except OSError as error:
            raise StoreError(refusal(file.path, error)) from error

    def _said(self) -> tuple[int, int, int]:
        generation, count, width = self._connection.execute("SELECT * FROM file").fetchone()
        return generation, count, width

    def _path(self, generation: int) -> Path:
        return self.folder / f"vectors-{generation}.f16"


class _Damaged(Exception):
    """A folder whose files do not belong together."""


def rows_folder(store: Store, table: str) -> Path:
    """Where the vectors of a table are kept. Raises StoreError for a link."""
    folder = index_path(store, f"{table}.vectors")
    if folder.is_symlink():
        raise StoreError(f"{str(folder)!r} is a link where an index goes: move it away")
    return folder


def _videos_of(batch: pa.RecordBatch) -> Iterator[tuple[str, NDArray[np.float64], Vectors]]:
    """The rows of each video that have a direction: no NaN, and not all zeros."""
    seconds = np.column_stack([batch[name].to_numpy() for name in VECTOR_COLUMNS[1:3]])
    vectors = embedding_matrix(batch["embedding"]).astype(np.float32)
    known = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
    runs, first = pc.run_end_encode(batch["video_id"]), 0
    for video_id, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        some = first + np.flatnonzero(known[first:end])
        if len(some):
            yield video_id, seconds[some], vectors[some]
        first = end


def _forget(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("DELETE FROM runs WHERE part = ?", (number,))


def _intervals(blob: bytes) -> NDArray[np.float64]:
    return np.frombuffer(blob, "<f8").reshape(-1, 2)


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether no other process is in here; one that is killed is no longer."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
