"""Every part read in full and held against its footer, every video against the plan."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, zip_longest
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from extract.declarations import TableSpec
from extract.errors import StoreError, command, count, some
from extract.tables import KEY_COLUMNS, embedding_matrix, valid_intervals, valid_vectors
from pipeline.storage.location import Location, ahead
from pipeline.storage.parquet import open_parquet
from pipeline.store.contents import entries
from pipeline.store.coverage import outcomes
from pipeline.store.footer import Footer, read_footer
from pipeline.store.layout import PartFile, Store, Target, run_again
from pipeline.store.lock import holder_of
from pipeline.store.parts import row_group_rows
from pipeline.store.seen import seen_inputs
from pipeline.store.todo import states
from pipeline.store.validity import faults, lost_plans
from pipeline.store.videos import Shard, plan_problems, read_shards

_TRIES = 5  # of a part that a run replaces while it is read
_READERS = 8  # parts of a remote store that are read at a time, each a few row groups in memory


Problem: TypeAlias = tuple[str, str]  # what is wrong, and the command that fixes it


@dataclass(frozen=True)
class Report:
    """What was looked at, every fault in one line each, and for each of them the command that fixes it.

    ``notes`` are not faults: what a killed run left half-written, foreign files at the first level,
    and a run that is writing.
    """

    videos: int
    parts: int
    rows: int
    problems: tuple[str, ...]
    fixes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class _Fixes:
    """The command for each kind of fault."""

    store: Store
    again: str
    current: frozenset[str]

    def delete(self, name: str) -> str:
        return f"rm {shlex.quote(str(self.store.root / name))}"

    def move_away(self, name: str) -> str:
        place = str(self.store.root / name)
        aside = f"{self.store.root}.{name.replace('/', '.')}"
        return f"mv {shlex.quote(place)} {shlex.quote(aside)}"

    def part(self, part: PartFile) -> str:
        """Deleted rows of current fingerprints are computed again; nothing wants the others."""
        command = self.delete(f"{part.table}/{part.path.name}")
        return f"{command} && {self.again}" if part.fingerprint in self.current else command


def verify(store: Store) -> Report:
    """Recount and check a whole store, old fingerprints included. Raises StoreError for none.

    A run may write meanwhile: a part that it replaced is read again, and one that is gone is left out.
    """
    shards = read_shards(store)
    members = {shard.index: shard.members for shard in shards}
    targets = store.targets()
    fixes = _Fixes(store, run_again(store), frozenset(target.fingerprint for target in targets))
    strange, notes = _strange_files(store, fixes)
    parts = [part for table in store.tables() for part in store.parts(table)]
    lost = lost_plans(store, members) if shards else {}
    problems = [*_plan_problems(store, shards, targets, lost, fixes), *strange]
    rows = 0
    one = partial(_part_problems, members if shards else None, lost, fixes)
    for read, wrong in ahead(one, parts, store.root, threads=_READERS):
        rows += read
        problems += wrong
    problems += _seen_problems(store, shards, fixes)
    problems += [(gap, fixes.again) for gap in _gaps(store, shards, targets)]
    problems += [(stale, fixes.again) for stale in _derived_problems(store, shards, targets)]
    counts = sum(len(shard.videos) for shard in shards), len(parts), rows
    said, commands = zip(*problems, strict=True) if problems else ((), ())
    return Report(*counts, said, commands, tuple(notes))


def _plan_problems(
    store: Store,
    shards: Sequence[Shard],
    targets: Sequence[Target],
    lost: Mapping[int, Collection[str]],
    fixes: _Fixes,
) -> Iterator[Problem]:
    for shard in shards:
        mine = [video.video_id for video in shard.videos]
        if mine != sorted(mine):
            yield f"videos: shard {shard.index} is not sorted by video_id", "restore it from a copy"
    removed = store.removed()
    half_gone = [video.video_id for shard in shards for video in shard.videos if video.path in removed]
    if half_gone:
        what = count(len(half_gone), "video is", "videos are")
        said = f"{what} half removed: run the removal again: {some(half_gone)}"
        yield said, command("remove", store.root, *half_gone)
    claimed = Counter(name for shard in shards for name in shard.members)
    twice = [shard for shard in shards if any(claimed[name] > 1 for name in shard.members)]
    # The file that no part agrees with is the one that is not what its name says.
    doubtful = [
        shard for shard in twice if not any(states(store, shard, target) for target in targets)
    ] or twice
    for problem in plan_problems(shards):
        name = f"videos/{store.shard_path(doubtful[-1].index).name}"
        yield problem, f"{fixes.delete(name)} && {fixes.again}"
    for index, videos in lost.items():
        name = store.shard_path(index).name
        yield (
            f"videos: {name} is missing, and tables have rows of {count(len(videos), 'video')} of it",
            fixes.again,
        )


def _seen_problems(store: Store, shards: Sequence[Shard], fixes: _Fixes) -> Iterator[Problem]:
    for shard in shards:
        try:
            seen_inputs(store, shard.index)
        except StoreError as error:
            name = store.inputs_path(shard.index).name
            yield str(error), f"{fixes.delete(f'inputs/{name}')} && {fixes.again}"


def _strange_files(store: Store, fixes: _Fixes) -> tuple[list[Problem], list[str]]:
    """Files that are none of the store's: faults, and notes on what is not worth one."""
    problems, notes = [], []
    writing = holder_of(store)
    if writing is not None:
        notes.append(f"{writing} is writing: what it has not written yet shows as missing")
    for entry in entries(store.root):
        if entry.role == "misplaced":
            what = f"{entry.name} is a {entry.kind}, not a file of the store"
            problems.append((what, fixes.move_away(entry.name)))
        elif entry.role == "foreign" and ("/" in entry.name or entry.kind == "folder"):
            problems.append((f"{entry.name} is not a file of the store", fixes.move_away(entry.name)))
        elif entry.role == "foreign":
            notes.append(f"{entry.name} is not a file of the store")
        elif entry.role == "leftover" and writing is None:
            notes.append(f"{entry.name} was left half-written by a killed run; the next run removes it")
    return problems, notes


def _part_problems(
    members: Mapping[int, frozenset[str]] | None,
    lost: Collection[int],
    fixes: _Fixes,
    part: PartFile,
) -> tuple[int, list[Problem]]:
    """Rows that its footer has, and its faults."""
    known = None if members is None or part.shard in lost else members.get(part.shard, frozenset())
    for _ in range(_TRIES):
        before = _identity(part.path)
        rows, found = _faults(part, known)
        if not found or _identity(part.path) == before:
            break
        if _identity(part.path) is None:  # taken out meanwhile
            return 0, []
    if members is not None and part.shard not in members and part.shard not in lost:
        found = ["no such shard is planned", *found]
    return rows, [(f"{part.table}/{part.path.name}: {fault}", fixes.part(part)) for fault in found]


def _faults(part: PartFile, members: Collection[str] | None) -> tuple[int, list[str]]:
    rows = 0
    try:
        footer = read_footer(part.path)
        rows = sum(state.rows for state in footer.videos.values())
        return rows, [*faults(part, footer, members), *_row_problems(part, footer)]
    except (StoreError, OSError, pa.ArrowException) as error:
        return rows, [str(error)]


def _identity(path: Location) -> object:
    """Another one for another file under this name; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime, found.st_size, getattr(found, "st_ino", None)


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
    wrong = ~valid_intervals(start, end)
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
    return states(store, shard, target)


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
            yield f"{name} does not agree with the parts: run again to rewrite it"


def _rows(file: pq.ParquetFile) -> Iterator[tuple[object, ...]]:
    for batch in file.iter_batches(use_threads=False):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
