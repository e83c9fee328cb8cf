"""Every part read in full and held against its footer, every video against the plan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, zip_longest

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from extract.declarations import TableSpec
from extract.errors import StoreError, some
from extract.fingerprint import canonical_json, digest
from extract.tables import KEY_COLUMNS, embedding_matrix, valid_vectors
from pipeline.storage.location import ahead
from pipeline.storage.parquet import open_parquet
from pipeline.store.coverage import outcomes
from pipeline.store.footer import Footer, read_footer
from pipeline.store.layout import PartFile, Store, Target
from pipeline.store.parts import row_group_rows
from pipeline.store.seen import seen_inputs
from pipeline.store.todo import states
from pipeline.store.videos import Shard, read_shards

_READERS = 8  # parts of a remote store that are read at a time, each a few row groups in memory


@dataclass(frozen=True)
class Report:
    """What was looked at, and every fault in one line each."""

    videos: int
    parts: int
    rows: int
    problems: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not self.problems


def verify(store: Store) -> Report:
    """Recount and check a whole store, old fingerprints included. Raises StoreError for none."""
    shards = read_shards(store)
    members = {shard.index: {video.video_id for video in shard.videos} for shard in shards}
    targets = store.targets()
    problems = [*_plan_problems(shards, store.removed())]
    parts = [part for table in store.tables() for part in store.parts(table)]
    rows = 0
    for found, faults in ahead(partial(_part_problems, members), parts, store.root, threads=_READERS):
        rows += found
        problems += faults
    problems += _seen_problems(store, shards)
    problems += _gaps(store, shards, targets)
    problems += _derived_problems(store, shards, targets)
    return Report(sum(len(shard.videos) for shard in shards), len(parts), rows, tuple(problems))


def _plan_problems(shards: Sequence[Shard], removed: Collection[str]) -> Iterator[str]:
    half_gone = [video.video_id for shard in shards for video in shard.videos if video.path in removed]
    if half_gone:
        yield f"{len(half_gone)} videos are half removed: run the removal again: {some(half_gone)}"
    ids: set[str] = set()
    paths: set[bytes] = set()
    for shard in shards:
        mine = [video.video_id for video in shard.videos]
        if mine != sorted(mine):
            yield f"videos: shard {shard.index} is not sorted by video_id"
        for video in shard.videos:
            if video.video_id in ids or video.raw in paths:
                yield f"videos: {video.video_id!r} is planned more than once"
            ids.add(video.video_id)
            paths.add(video.raw)


def _seen_problems(store: Store, shards: Sequence[Shard]) -> Iterator[str]:
    for shard in shards:
        try:
            seen_inputs(store, shard.index)
        except StoreError as error:
            yield str(error)


def _part_problems(members: Mapping[int, set[str]], part: PartFile) -> tuple[int, list[str]]:
    """Rows that its footer has, and its faults."""
    rows = 0
    try:
        footer = read_footer(part.path)
        rows = sum(state.rows for state in footer.videos.values())
        faults = [*_footer_problems(part, footer, members), *_row_problems(part, footer)]
    except (StoreError, OSError, pa.ArrowException) as error:
        faults = [str(error)]
    return rows, [f"{part.table}/{part.path.name}: {fault}" for fault in faults]


def _footer_problems(part: PartFile, footer: Footer, members: Mapping[int, set[str]]) -> Iterator[str]:
    header = footer.header
    named = (part.table, part.shard, part.fingerprint)
    said = (header.table, header.shard, header.target.fingerprint)
    if named != said:
        yield f"its footer is that of table, shard, fingerprint {said}"
    if digest(canonical_json(header.target.made_of)) != header.target.fingerprint:
        yield "its fingerprint does not follow from what the footer says it was made of"
    if list(footer.videos) != sorted(footer.videos):
        yield "its footer's videos are not sorted"
    strangers = footer.videos.keys() - members.get(part.shard, set())
    if strangers:
        yield f"{len(strangers)} videos are not of this shard: {min(strangers)!r}"
    for video_id, state in footer.videos.items():
        if (state.state == "ok") != (state.rows > 0):
            yield f"{video_id!r} is {state.state} with {state.rows} rows"


def _row_problems(part: PartFile, footer: Footer) -> Iterator[str]:
    schema = footer.header.schema
    with open_parquet(part.path, page_checksum_verification=True, pre_buffer=False) as file:
        if not file.schema_arrow.equals(schema):
            yield f"its schema is not what its footer says: {file.schema_arrow} instead of {schema}"
            return
        expected = _expected_keys(footer)
        for batch in file.iter_batches(batch_size=row_group_rows(schema), use_threads=False):
            yield from _batch_problems(batch, list(islice(expected, len(batch))), footer.header.spec)


def _expected_keys(footer: Footer) -> Iterator[tuple[str, int]]:
    """(video_id, row) of every row in order, as the footer's counts have it."""
    for video_id, state in footer.videos.items():
        for row in range(state.rows):
            yield video_id, row


def _batch_problems(
    batch: pa.RecordBatch, expected: Sequence[tuple[str, int]], spec: TableSpec
) -> Iterator[str]:
    found = list(zip(batch["video_id"].to_pylist(), batch["row"].to_pylist(), strict=True))
    for mine, wanted in zip(found, expected, strict=False):
        if mine != wanted:
            yield f"row {mine[1]} of {mine[0]!r} stands where the footer has row {wanted[1]} of {wanted[0]!r}"
            break
    start, end = (batch[name].to_numpy(zero_copy_only=False) for name in KEY_COLUMNS[2:])
    wrong = ~(np.isfinite(start) & np.isfinite(end) & (start <= end))
    if wrong.any():
        i = int(wrong.argmax())
        yield f"row {found[i][1]} of {found[i][0]!r} has interval [{start[i]}, {end[i]})"
    if "embedding" in batch.schema.names:
        finite = valid_vectors(embedding_matrix(batch["embedding"]), spec).all(axis=1)
        if not finite.all():
            i = int(np.argmin(finite))
            yield f"row {found[i][1]} of {found[i][0]!r} has an embedding that is not finite"


def _gaps(store: Store, shards: Sequence[Shard], targets: Sequence[Target]) -> Iterator[str]:
    """Planned videos that an expert has no state for."""
    for target in targets:
        known_by_shard = ahead(partial(_states, store, target), shards, store.root)
        for shard, known in zip(shards, known_by_shard, strict=True):
            missing = [video.video_id for video in shard.videos if video.video_id not in known]
            if missing:
                yield (
                    f"{target.expert}: shard {shard.index} lacks {len(missing)} of {len(shard.videos)} "
                    f"videos ({missing[0]!r}): run again to complete it"
                )


def _states(store: Store, target: Target, shard: Shard) -> Collection[str]:
    return states(store, shard.index, target)


def _derived_problems(store: Store, shards: Sequence[Shard], targets: Sequence[Target]) -> Iterator[str]:
    """Whether ``coverage.parquet`` and ``failures.parquet`` say what the footers say."""
    coverage = (one.coverage_row for one in outcomes(store, shards, targets))
    failures = (one.failure_row for one in outcomes(store, shards, targets) if one.failure_row is not None)
    for name, wanted in (("coverage.parquet", coverage), ("failures.parquet", failures)):
        try:
            with open_parquet(store.root / name) as file:
                pairs = zip_longest(_rows(file), wanted)
                same = all(found == right for found, right in pairs)
        except FileNotFoundError:
            yield f"{name} is not there: run again to write it"
            continue
        except (OSError, pa.ArrowException) as error:
            yield f"{name} is damaged: {error}"
            continue
        if not same:
            yield f"{name} does not say what the parts say: run again to rewrite it"


def _rows(file: pq.ParquetFile) -> Iterator[tuple[object, ...]]:
    for batch in file.iter_batches(use_threads=False):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
