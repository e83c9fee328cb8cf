"""Arrays as tables of a store: for features that no video was decoded for."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from extract.declarations import Embedding, TableSpec
from extract.errors import MediaError, StoreError
from extract.fingerprint import canonical_json, digest
from extract.options import Dtype
from extract.tables import table_schema
from extract.types import Failure
from pipeline.storage.location import Location
from pipeline.storage.names import without_suffix
from pipeline.storage.scan import Input, Scan
from pipeline.store.coverage import write_derived
from pipeline.store.footer import PartHeader, VideoState
from pipeline.store.layout import Store, Target, open_store
from pipeline.store.lock import writing
from pipeline.store.parts import VideoRows, merge_part
from pipeline.store.videos import Shard, read_shards
from pipeline.work.plan import plan
from train.errors import DataError

_BATCH_ROWS = 4096


@dataclass(frozen=True)
class Source:
    """One expert's vectors: ``vectors(video_id)`` is (time, dim), or None where it has nothing; a MediaError
    that it raises makes the video a failure.

    ``made_of`` identifies them (the fingerprint is its hash), ``notes`` is written beside it in the clear.
    A step lasts ``step_seconds``.
    """

    name: str
    dim: int
    vectors: Callable[[str], NDArray[Any] | None]
    made_of: Mapping[str, Any]
    step_seconds: float = 1.0
    dtype: Dtype = "float16"
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        made_of = {"expert": self.name, "dtype": self.dtype, "dim": self.dim, **self.made_of}
        return Target(self.name, digest(canonical_json(made_of)), (self.name,), (), made_of, self.notes)

    @property
    def spec(self) -> TableSpec:
        return TableSpec(embedding=Embedding((self.dim,), float32=self.dtype == "float32"))

    def rows(self, video_id: str) -> VideoRows:
        """Raises DataError for vectors of another size, or that the dtype cannot hold."""
        try:
            vectors = self.vectors(video_id)
        except MediaError as error:
            why = Failure("import", type(error).__name__, str(error))
            return VideoRows(video_id, VideoState("failed", failure=why))
        if vectors is None or not len(vectors):
            return VideoRows(video_id, VideoState("absent", reason="nothing in the source"))
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise DataError(
                f"{self.name!r} of {video_id!r} has shape {vectors.shape}, others (time, {self.dim}): "
                "leave it out"
            )
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(vectors, self.dtype)
        if not np.isfinite(stored).all():
            raise DataError(
                f"{self.name!r} of {video_id!r} has values that {self.dtype} cannot hold (NaN, infinity or "
                "beyond its range): leave the video out, or choose float32"
            )
        return VideoRows(video_id, VideoState("ok"), self._batches(video_id, stored))

    def _batches(self, video_id: str, vectors: NDArray[Any]) -> Iterator[pa.RecordBatch]:
        schema = table_schema(self.spec, dtype=self.dtype)
        for first in range(0, len(vectors), _BATCH_ROWS):
            part = vectors[first : first + _BATCH_ROWS]
            row = np.arange(first, first + len(part), dtype=np.int32)
            columns = [
                pa.array([video_id] * len(part), pa.string()),
                pa.array(row),
                pa.array(row * self.step_seconds),
                pa.array((row + 1) * self.step_seconds),
                pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), self.dim),
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def write_store(
    out: Location,
    ids: Sequence[str],
    sources: Sequence[Source],
    *,
    options: Mapping[str, Any],
    shard_size: int = 64,
) -> Store:
    """A new store with these videos and experts, written as a run writes it; one that was killed resumes.

    Raises StoreError where there is another store, DataError for what cannot be stored.
    """
    store = open_store(out, create=True)
    if not unfinished(store, ids):
        raise StoreError(f"{str(out)!r} holds a feature store already: give a new or empty folder")
    started = _now()
    inputs = tuple(Input(_path(name).encode(), None) for name in sorted(ids))
    planned = plan(Scan(out, inputs, ()), store, shard_size=shard_size)
    there = {video.video_id for shard in planned.shards for video in shard.videos}
    if there != set(ids):
        odd = min(set(ids) - there)
        raise DataError(f"{odd!r} cannot be a video_id, which is a path without suffix: rename it")
    _write(store, planned.shards, sources)
    targets = [source.target for source in sources]
    store.record_run(targets, options=options, versions={}, started=started, finished=_now())
    write_derived(store, planned.shards, targets, ())
    return store


def unfinished(store: Store, ids: Collection[str]) -> bool:
    """Whether the store is empty, or what a killed :func:`write_store` of these videos left."""
    there = {video.video_id for shard in read_shards(store) for video in shard.videos}
    return not store.run_record() and there <= set(ids)


def add_to_store(store: Store, sources: Sequence[Source], *, options: Mapping[str, Any]) -> None:
    """Further experts for the videos of a store; what it has stays. ``options`` join those of its run.

    Raises StoreError where another run is writing, DataError as :func:`write_store`.
    """
    started = _now()
    with writing(store) as (held, _):
        shards = read_shards(held)
        _write(held, shards, sources)
        record = held.run_record()
        held.record_run(
            [source.target for source in sources],
            options={**record.get("options", {}), **options},
            versions=record.get("versions", {}),
            started=started,
            finished=_now(),
            measured=record.get("measured"),
        )
        write_derived(held, shards, held.targets())


def _write(store: Store, shards: Sequence[Shard], sources: Sequence[Source]) -> None:
    for shard in shards:
        for source in sources:
            header = PartHeader(source.target, source.name, shard.index, source.spec, source.dtype)
            rows = (source.rows(video.video_id) for video in shard.videos)
            merge_part(store, header, rows, members=shard.members)


def _path(video_id: str) -> str:
    """A path whose ``video_id`` this is: one with a suffix, where a part of the id would be taken for one."""
    return video_id if without_suffix(video_id) == video_id else f"{video_id}.imported"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
