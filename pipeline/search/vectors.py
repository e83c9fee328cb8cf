"""The rows of a table whose vectors are most like some others, by cosine.

Up to a million are compared one and all, in one pass over the store; of more there is an index beside the
store (:mod:`pipeline.search.vector_rows`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from extract.errors import UsageError, did_you_mean, to_install, unknown
from extract.tables import embedding_matrix
from pipeline.search.part_index import Log
from pipeline.search.vector_rows import VECTOR_COLUMNS, Moment, VectorRows, rows_folder
from pipeline.storage.location import Location
from pipeline.storage.parquet import parquet_dataset
from pipeline.store.footer import Footer
from pipeline.store.layout import Store
from pipeline.store.reading import current_parts, footer_of, read, valid_parts
from pipeline.store.videos import members_of
from pipeline.vectors.vector_file import Vectors

MOST_COMPARED = 1_000_000
_ROWS = 1 << 15  # compared at a time: 64 MB of 512 values


def vector_footer(store: Store, table: str) -> Footer:
    """The footer of a part of a table of vectors. Raises UsageError for a table that has none."""
    tables = [name for target in store.targets() for name in target.tables]
    if table not in tables:
        raise unknown("no table", table, tables, have="the store has")
    footer = footer_of(store, table)
    if footer is None or footer.header.spec.embedding is None:
        raise UsageError(f"table {table!r} has no vectors to compare: name one that has, such as clip")
    return footer


class TableVectors:
    """The vectors of a store's table, opened once for any number of questions; to be closed.

    Raises UsageError for a table that has none. ``log`` is told what happens to an index.
    """

    def __init__(self, store: Store, table: str, log: Log = lambda text: None) -> None:
        self._store, self._table, self._log = store, table, log
        embedding = vector_footer(store, table).header.spec.embedding
        assert embedding is not None
        self._width = int(np.prod(embedding.shape))
        self._kept: VectorRows | None = None
        if rows_folder(store, table).exists():
            self._keep()

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()

    def nearest(self, sought: Vectors, most: int) -> list[list[Moment]]:
        """For each row of ``sought`` (queries, dimension) the moments most like it, the likest first.

        Rows with NaN (what could not be measured) and rows of zeros are like nothing. Memory is bounded by a
        batch of rows, whatever the store's size.
        """
        if sought.shape[1:] != (self._width,):
            raise UsageError(
                f"vectors of table {self._table!r} have {self._width} values, got {sought.shape[1:]}"
            )
        queries = _unit(sought)
        known = np.flatnonzero(np.isfinite(queries).all(axis=1))
        found: list[list[Moment]] = [[] for _ in queries]
        for place, moments in zip(known.tolist(), self._answers(queries[known], most), strict=True):
            found[place] = moments
        return found

    def at(self, video_id: str, seconds: float) -> tuple[Vectors, float, float]:
        """The vector (1, dimension) of a video at a moment, or nearest to it, and its interval.

        Raises UsageError for a video that has none.
        """
        if self._kept is not None:
            intervals, numbers = self._kept.of_video(video_id)
            place = _at(intervals, seconds) if len(intervals) else 0
            vectors = self._kept.vectors(numbers[place : place + 1])
        else:
            found = read(self._store, self._table, columns=list(VECTOR_COLUMNS[1:]), video_ids=[video_id])
            intervals = np.column_stack([found[name].to_numpy() for name in VECTOR_COLUMNS[1:3]])
            place = _at(intervals, seconds) if len(intervals) else 0
            vectors = embedding_matrix(found["embedding"])[place : place + 1].astype(np.float32)
        if not len(intervals):
            ids = read(self._store, "videos", columns=["video_id"])["video_id"].to_pylist()
            why = "no vectors in it" if video_id in ids else f"not in the store{did_you_mean(video_id, ids)}"
            raise UsageError(f"video {video_id!r}, table {self._table!r}: {why}")
        start, end = intervals[place].tolist()
        return vectors, start, end

    def _answers(self, queries: Vectors, most: int) -> list[list[Moment]]:
        if self._kept is None:
            files, rows = _files(self._store, self._table)
            if rows <= MOST_COMPARED or not _can_index(rows, self._log):
                return _by_comparing(files, queries, most)
            self._keep()
        assert self._kept is not None
        return self._kept.nearest(queries, most)

    def _keep(self) -> None:
        self._kept = VectorRows(self._store, self._table, self._width, self._log)


def nearest(
    store: Store, table: str, sought: Vectors, *, most: int = 20, log: Log = lambda text: None
) -> list[list[Moment]]:
    """:meth:`TableVectors.nearest`, of a table that nothing else is asked of."""
    with closing(TableVectors(store, table, log)) as vectors:
        return vectors.nearest(sought, most)


def _by_comparing(files: Sequence[Location], queries: Vectors, most: int) -> list[list[Moment]]:
    best: list[tuple[NDArray[np.float32], list[Moment]]] = [(np.zeros(0, np.float32), []) for _ in queries]
    for batch in _batches(files):
        cosines = _unit(embedding_matrix(batch["embedding"]).astype(np.float32)) @ queries.T
        for place, (scores, moments) in enumerate(best):
            best[place] = _merged(scores, moments, cosines[:, place], batch, most)
    return [moments for _, moments in best]


def _files(store: Store, table: str) -> tuple[list[Location], int]:
    """The valid parts of a table, and how many rows they have."""
    parts = list(valid_parts(store, current_parts(store, table), members_of(store)))
    rows = sum(state.rows for _, footer in parts for state in footer.videos.values())
    return [part.path for part, _ in parts], rows


def _can_index(rows: int, log: Log) -> bool:
    if find_spec("faiss") is None:
        log(f"all {rows:,} vectors are compared, which an index makes fast: {to_install('index')}")
        return False
    return True


def _at(intervals: NDArray[np.float64], seconds: float) -> int:
    """The row of (rows, 2) that a moment is in, or nearest to."""
    starts, ends = intervals.T
    away = np.maximum(np.maximum(starts - seconds, seconds - ends), 0)
    return int(np.lexsort((np.abs((starts + ends) / 2 - seconds), away))[0])


def _batches(files: Sequence[Location]) -> Iterator[pa.RecordBatch]:
    if files:
        few = {"batch_readahead": 4, "fragment_readahead": 1}  # else a gigabyte is read ahead
        yield from parquet_dataset(files).to_batches(columns=list(VECTOR_COLUMNS), batch_size=_ROWS, **few)


def _merged(
    scores: NDArray[np.float32], moments: list[Moment], cosines: Any, batch: pa.RecordBatch, most: int
) -> tuple[NDArray[np.float32], list[Moment]]:
    """The best of what was found before and of a batch; equal ones stay in the order of the store."""
    floor = scores[-1] if len(scores) == most else -np.inf
    new = np.flatnonzero(cosines > floor)
    new = new[np.argsort(-cosines[new], kind="stable")][:most]
    made = [
        Moment(
            batch["video_id"][i].as_py(),
            batch["start_seconds"][i].as_py(),
            batch["end_seconds"][i].as_py(),
            float(cosines[i]),
        )
        for i in new.tolist()
    ]
    together = np.concatenate([scores, cosines[new]])
    order = np.argsort(-together, kind="stable")[:most]
    everything = [*moments, *made]
    return together[order], [everything[i] for i in order.tolist()]


def _unit(vectors: Vectors) -> Vectors:
    """Of length 1; NaN, which is above no cosine, for those that have no direction."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(vectors / np.where(lengths > 0, lengths, np.nan), np.float32)
