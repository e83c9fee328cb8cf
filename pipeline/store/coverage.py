"""The tables that tell how every video went; derived from the footers, so never out of step."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from extract.types import Failure, State
from pipeline.storage.location import ahead
from pipeline.storage.names import display
from pipeline.storage.scan import Ignored
from pipeline.store.footer import VideoState
from pipeline.store.layout import Store, Target
from pipeline.store.todo import states
from pipeline.store.videos import Shard

COVERAGE_SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("expert", pa.string()),
        ("state", pa.string()),
        ("rows", pa.int64()),
        ("reason", pa.string()),
    ]
)
FAILURES_SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("expert", pa.string()),
        ("stage", pa.string()),
        ("error_type", pa.string()),
        ("message", pa.string()),
        ("attempts", pa.int32()),
    ]
)
IGNORED_SCHEMA = pa.schema(
    [("path", pa.string()), ("path_bytes", pa.binary()), ("bytes", pa.int64()), ("reason", pa.string())]
)
_BATCH = 16_384


@dataclass(frozen=True, order=True)
class VideoOutcome:
    """How one expert went on one video, over all its tables."""

    video_id: str
    expert: str
    state: State
    rows: int
    reason: str
    attempts: int
    failure: Failure | None = None

    @property
    def coverage_row(self) -> tuple[object, ...]:
        return self.video_id, self.expert, self.state, self.rows, self.reason

    @property
    def failure_row(self) -> tuple[object, ...] | None:
        why = self.failure
        if why is None:
            return None
        return self.video_id, self.expert, why.stage, why.error_type, why.message, self.attempts


def outcomes(store: Store, shards: Iterable[Shard], targets: Sequence[Target]) -> Iterator[VideoOutcome]:
    """All that is recorded, sorted by (video_id, expert); pairs that are still to do are left out.

    Reads the footers of a shard when its first video comes up, so memory does not grow with the
    number of videos (as long as shards do not interleave, which only later additions make them).
    """
    order = sorted((s for s in shards if s.videos), key=lambda s: s.videos[0].video_id)
    recorded = ahead(lambda shard: list(shard_outcomes(store, shard, targets)), order, store.root)
    waiting = order[::-1]
    heap: list[tuple[str, str, VideoOutcome]] = []
    while waiting or heap:
        while waiting and (not heap or waiting[-1].videos[0].video_id <= heap[0][0]):
            waiting.pop()
            for record in next(recorded):
                heapq.heappush(heap, (record.video_id, record.expert, record))
        if heap:
            yield heapq.heappop(heap)[2]


def shard_outcomes(store: Store, shard: Shard, targets: Sequence[Target]) -> Iterator[VideoOutcome]:
    """What is recorded of one shard, expert by expert."""
    for target in targets:
        for video_id, mine in states(store, shard, target).items():
            yield _record(video_id, target, mine)


@dataclass(frozen=True)
class Counts:
    """Videos by state and rows, of every expert."""

    states: Mapping[str, Counter[str]]
    rows: Mapping[str, int]


def write_derived(
    store: Store, shards: Iterable[Shard], targets: Sequence[Target], ignored: Iterable[Ignored] | None = None
) -> Counts:
    """Rebuild ``coverage.parquet`` and ``failures.parquet``, and write ``ignored.parquet`` if given."""
    states: dict[str, Counter[str]] = {target.expert: Counter() for target in targets}
    rows: Counter[str] = Counter()
    with (
        store.write(store.root / "coverage.parquet") as coverage_path,
        store.write(store.root / "failures.parquet") as failures_path,
        _Rows(pq.ParquetWriter(coverage_path, COVERAGE_SCHEMA, compression="zstd")) as coverage,
        _Rows(pq.ParquetWriter(failures_path, FAILURES_SCHEMA, compression="zstd")) as failures,
    ):
        for one in outcomes(store, shards, targets):
            coverage.add(one.coverage_row)
            if one.failure_row is not None:
                failures.add(one.failure_row)
            states[one.expert][one.state] += 1
            rows[one.expert] += one.rows
    if ignored is not None:
        _write_ignored(store, ignored)
    return Counts(states, rows)


def _write_ignored(store: Store, ignored: Iterable[Ignored]) -> None:
    with (
        store.write(store.root / "ignored.parquet") as path,
        _Rows(pq.ParquetWriter(path, IGNORED_SCHEMA, compression="zstd")) as rows,
    ):
        for entry in ignored:
            text = display(entry.raw)
            rows.add(
                (text, None if text.encode() == entry.raw else entry.raw, entry.size_bytes, entry.reason)
            )


def _record(video_id: str, target: Target, mine: Sequence[VideoState]) -> VideoOutcome:
    """``failed`` if a table failed, else ``ok`` if one has rows, else ``absent``."""
    failed = [state for state in mine if state.state == "failed"]
    ok = any(state.state == "ok" for state in mine)
    state: State = "failed" if failed else "ok" if ok else "absent"
    pairs = [(table, s.reason) for table, s in zip(target.tables, mine, strict=True) if s.reason]
    if failed and failed[0].failure is not None:
        reason = f"{failed[0].failure.error_type}: {failed[0].failure.message}"
    elif len(target.tables) == 1:
        reason = mine[0].reason
    else:
        reason = "; ".join(f"{table}: {text}" for table, text in pairs)
    rows = sum(s.rows for s in mine)
    attempts = max(s.attempts for s in mine)
    failure = failed[0].failure if failed else None
    return VideoOutcome(video_id, target.expert, state, rows, reason, attempts, failure)


class _Rows:
    """Rows to a Parquet file, a batch at a time."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._rows: list[tuple[object, ...]] = []

    def __enter__(self) -> _Rows:
        return self

    def __exit__(self, *error: object) -> None:
        self._flush()
        self._writer.close()

    def add(self, row: tuple[object, ...]) -> None:
        self._rows.append(row)
        if len(self._rows) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        schema = self._writer.schema
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(schema)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        self._rows = []
