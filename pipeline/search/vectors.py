"""The rows of a table whose vectors are most like some others, by cosine, in one pass over the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from extract.errors import UsageError, did_you_mean, unknown
from extract.tables import embedding_matrix
from pipeline.store.footer import Footer
from pipeline.store.layout import Store
from pipeline.store.reading import current_parts, dataset, read, valid_parts
from pipeline.store.videos import members_of

Vectors = NDArray[np.float32]
_COLUMNS = ("video_id", "start_seconds", "end_seconds", "embedding")
_ROWS = 1 << 15  # compared at a time: 64 MB of 512 values


@dataclass(frozen=True)
class Moment:
    """An interval of a video and its cosine, from -1 to 1, to what was sought."""

    video_id: str
    start_seconds: float
    end_seconds: float
    cosine: float


def vector_footer(store: Store, table: str) -> Footer:
    """The footer of a part of a table of vectors. Raises UsageError for a table that has none."""
    tables = [name for target in store.targets() for name in target.tables]
    if table not in tables:
        raise unknown("no table", table, tables, have="the store has")
    parts = valid_parts(store, current_parts(store, table), members_of(store))
    footer = next((footer for _, footer in parts), None)
    if footer is None or footer.header.spec.embedding is None:
        raise UsageError(f"table {table!r} has no vectors to compare: name one that has, such as clip")
    return footer


def nearest(store: Store, table: str, sought: Vectors, *, most: int = 20) -> list[list[Moment]]:
    """For each row of ``sought`` (queries, dimension) the moments most like it, the likest first.

    Rows with NaN (what could not be measured) and rows of zeros are like nothing. Memory is bounded by a
    batch of rows, whatever the store's size.
    """
    dimension = int(np.prod(vector_footer(store, table).header.spec.embedding.shape))  # type: ignore[union-attr]
    if sought.shape[1:] != (dimension,):
        raise UsageError(f"vectors of table {table!r} have {dimension} values, got {sought.shape[1:]}")
    queries = _unit(sought)
    best: list[tuple[NDArray[np.float32], list[Moment]]] = [(np.zeros(0, np.float32), []) for _ in queries]
    for batch in _batches(store, table):
        cosines = _unit(embedding_matrix(batch["embedding"]).astype(np.float32)) @ queries.T
        for place, (scores, moments) in enumerate(best):
            best[place] = _merged(scores, moments, cosines[:, place], batch, most)
    return [moments for _, moments in best]


def vector_at(store: Store, table: str, video_id: str, seconds: float) -> tuple[Vectors, float, float]:
    """The vector (1, dimension) of a video at a moment, or nearest to it, and its interval.

    Raises UsageError for a video that has none.
    """
    vector_footer(store, table)
    found = read(store, table, columns=list(_COLUMNS[1:]), video_ids=[video_id])
    if not len(found):
        ids = read(store, "videos", columns=["video_id"])["video_id"].to_pylist()
        why = "no vectors in it" if video_id in ids else f"not in the store{did_you_mean(video_id, ids)}"
        raise UsageError(f"video {video_id!r}, table {table!r}: {why}")
    starts, ends = (found[name].to_numpy() for name in ("start_seconds", "end_seconds"))
    away = np.maximum(np.maximum(starts - seconds, seconds - ends), 0)
    place = int(np.lexsort((np.abs((starts + ends) / 2 - seconds), away))[0])
    vector = embedding_matrix(found["embedding"])[place : place + 1].astype(np.float32)
    return vector, float(starts[place]), float(ends[place])


def _batches(store: Store, table: str) -> Iterator[pa.RecordBatch]:
    yield from dataset(store, table).to_batches(columns=list(_COLUMNS), batch_size=_ROWS)


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
