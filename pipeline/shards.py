"""Shards in work: tasks for the engine from what is missing, parts from what comes back."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from extract.engine import VideoResult, VideoTask
from extract.experts.scenes import scene_from_row
from extract.ledger import Failure, Outcome
from extract.meter import Meter
from extract.selection import Selection
from extract.types import Scene
from pipeline.footer import PartHeader, VideoState
from pipeline.parts import VideoRows, merge_part
from pipeline.plan import Shard, Video, measured, update_videos
from pipeline.store import Store, Target
from pipeline.todo import attempts, states, todo

if TYPE_CHECKING:
    from pipeline.run import RunProgress


class _Open:
    """A shard that has videos in the engine."""

    def __init__(self, shard: Shard, store: Store, targets: Sequence[Target]) -> None:
        self.shard = shard
        self.videos = {video.video_id: video for video in shard.videos}
        self.attempts = {target.expert: attempts(store, shard.index, target) for target in targets}
        self.measured = measured(store, shard.index)
        self.missing = 0
        self.results: list[VideoResult] = []
        self.refused: dict[str, tuple[tuple[str, ...], str]] = {}
        self.written_at = time.monotonic()


class ShardWork:
    """Hands out tasks shard by shard and writes each shard's parts when its videos are back.

    Writing happens in a thread beside the engine, one shard at a time. A shard that takes long is
    written in between (a checkpoint), so a killed run loses minutes, not a shard.
    """

    def __init__(
        self,
        store: Store,
        root: Path,
        shards: Sequence[Shard],
        selection: Selection,
        targets: Sequence[Target],
        *,
        retry_failed: bool,
    ) -> None:
        self.meter: Meter | None = None
        self._store, self._root, self._shards = store, root, shards
        self._selection, self._targets, self._retry_failed = selection, targets, retry_failed
        self._open: dict[int, _Open] = {}
        self._shard_of: dict[str, int] = {}
        self._writer = ThreadPoolExecutor(1, "writer")
        self._writes: list[Future[None]] = []

    def tasks(self, progress: RunProgress) -> Iterator[VideoTask]:
        """Everything that is to do, in the order of the plan; footers are read shard by shard."""
        for shard in self._shards:
            work = todo(self._store, shard, self._targets, retry_failed=self._retry_failed)
            progress.already += len(shard.videos) - len(work)
            if not work:
                continue
            opened = _Open(shard, self._store, self._targets)
            stored = _Stored(self._store, shard, self._selection, self._targets, work)
            tasks = []
            for video in shard.videos:
                if video.video_id not in work:
                    continue
                experts = tuple(t.expert for t in self._targets if t.expert in work[video.video_id])
                if video.problem is not None:
                    opened.refused[video.video_id] = (experts, video.problem)
                    progress.done += 1
                    progress.failed += 1
                else:
                    tasks.append(stored.task(video, experts, self._root))
            opened.missing = len(tasks)
            self._open[shard.index] = opened
            self._shard_of.update((task.video_id, shard.index) for task in tasks)
            if not tasks:
                self._write(shard.index)
            yield from tasks

    def take(self, result: VideoResult, *, checkpoint_seconds: float) -> None:
        """Book a finished video; writes its shard if that is complete or has waited long."""
        index = self._shard_of.pop(result.task.video_id)
        opened = self._open[index]
        opened.results.append(result)
        opened.missing -= 1
        if not opened.missing or time.monotonic() - opened.written_at > checkpoint_seconds:
            self._write(index)

    def flush(self) -> None:
        """Write all that is finished and wait until it is on disk."""
        for index in list(self._open):
            self._write(index)
        self._writer.shutdown(wait=True)
        self._check_writes()

    def _write(self, index: int) -> None:
        self._check_writes(at_most=2)
        opened = self._open[index]
        results, opened.results = opened.results, []
        refused, opened.refused = opened.refused, {}
        opened.written_at = time.monotonic()
        if not opened.missing:
            del self._open[index]
        if results or refused:
            self._writes.append(self._writer.submit(self._write_parts, opened, results, refused))

    def _check_writes(self, at_most: int = 0) -> None:
        """Wait until no more than this many writes are under way; raises what one has raised."""
        while len(self._writes) > at_most:
            self._writes.pop(0).result()
        for write in [write for write in self._writes if write.done()]:
            self._writes.remove(write)
            write.result()

    def _write_parts(
        self,
        opened: _Open,
        results: Sequence[VideoResult],
        refused: Mapping[str, tuple[tuple[str, ...], str]],
    ) -> None:
        """The videos' facts first, then the tables, upstream first."""
        started = time.monotonic()
        self._write_facts(opened, results)
        for target in self._targets:
            for table, spec in self._selection.experts[target.expert].tables().items():
                rows = [*_finished(opened, target, table, results), *_refused(opened, target, table, refused)]
                if rows:
                    header = PartHeader(target, table, opened.shard.index, spec, self._selection.dtype)
                    merge_part(self._store, header, rows)
        for result in results:
            result.ledger.discard()
        if self.meter is not None:
            self.meter.add("write", time.monotonic() - started)

    def _write_facts(self, opened: _Open, results: Sequence[VideoResult]) -> None:
        """What is known of a file stays as its first whole pass measured it, unless the file changed."""
        facts = {}
        for result in results:
            video = opened.videos[result.task.video_id]
            if result.facts and opened.measured.get(video.video_id) != video.size_bytes:
                facts[video.video_id] = {**result.facts, "bytes": video.size_bytes}
        if facts:
            update_videos(self._store, opened.shard.index, facts)


def _finished(
    opened: _Open, target: Target, table: str, results: Iterable[VideoResult]
) -> Iterator[VideoRows]:
    for result in results:
        outcome = result.outcomes.get(target.expert)
        if outcome is not None:
            buffer = result.ledger.buffers[target.expert][table]
            state = _state(opened, target, result.task.video_id, outcome, table)
            yield VideoRows(result.task.video_id, state, buffer.batches() if buffer.rows else ())


def _refused(
    opened: _Open, target: Target, table: str, refused: Mapping[str, tuple[tuple[str, ...], str]]
) -> Iterator[VideoRows]:
    """Failures of files that could not even be opened."""
    for video_id, (experts, problem) in refused.items():
        if target.expert in experts:
            outcome = Outcome("failed", {}, problem, Failure("open", "MediaError", problem))
            yield VideoRows(video_id, _state(opened, target, video_id, outcome, table))


def _state(opened: _Open, target: Target, video_id: str, outcome: Outcome, table: str) -> VideoState:
    return VideoState.of(
        outcome,
        table,
        size_bytes=opened.videos[video_id].size_bytes,
        attempts=opened.attempts[target.expert].get(video_id, 0) + 1,
    )


class _Stored:
    """What a shard already holds of the experts that the missing ones read."""

    def __init__(
        self,
        store: Store,
        shard: Shard,
        selection: Selection,
        targets: Sequence[Target],
        work: Mapping[str, set[str]],
    ) -> None:
        self._selection = selection
        self._targets = {target.expert: target for target in targets}
        parents = {
            parent
            for experts in work.values()
            for name in experts
            for parent in self._targets[name].upstream
            if parent not in experts
        }
        self._states = {name: states(store, shard.index, self._targets[name]) for name in parents}
        self._tables: dict[str, dict[str, pa.Table]] = defaultdict(dict)
        for name in parents:
            target = self._targets[name]
            for table in target.tables if self._states[name] else ():
                path = store.part_path(table, shard=shard.index, fingerprint=target.fingerprint)
                with pq.ParquetFile(path) as file:
                    self._tables[name][table] = file.read()

    def task(self, video: Video, experts: tuple[str, ...], root: Path) -> VideoTask:
        parents = {p for name in experts for p in self._targets[name].upstream} - set(experts)
        failed = {}
        for name in parents:
            for state in self._states[name].get(video.video_id, ()):
                if state.failure is not None:
                    failed[name] = state.failure
        tables = {name: self._rows(name, video.video_id) for name in parents}
        scenes: tuple[Scene, ...] | None = None
        if "scenes" in parents:
            scenes = tuple(scene_from_row(row) for row in tables.pop("scenes")["scenes"].to_pylist())
        return VideoTask(
            video_id=video.video_id,
            path=bytes(video.file(root)),
            experts=experts,
            scenes=scenes,
            tables=tables,
            failed_upstream=failed,
        )

    def _rows(self, expert: str, video_id: str) -> dict[str, pa.Table]:
        import pyarrow.compute as pc

        return {
            name: table.filter(pc.equal(table["video_id"], video_id))
            for name, table in self._tables[expert].items()
        }
