"""Jobs in work: tasks for the engine from what is missing, parts from what comes back."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from extract.engine.engine import VideoResult
from extract.engine.meter import Meter
from extract.engine.task import VideoTask
from extract.selection import Selection
from extract.types import Failure, Outcome
from pipeline.storage.location import Location, is_remote, join
from pipeline.store.footer import PartHeader, VideoState
from pipeline.store.layout import Store, Target
from pipeline.store.parts import VideoRows, merge_part
from pipeline.store.todo import attempts, todo
from pipeline.store.videos import Video, measured, update_videos
from pipeline.work.fetching import Fetcher
from pipeline.work.inputs import record_inputs
from pipeline.work.jobs import JobReport, ShardJob
from pipeline.work.stored import Stored
from pipeline.work.worker_status import OpenJob

MOST_WRITES = 2  # shards that wait to be written while the engine continues
FETCH_AHEAD = 8  # remote videos that are fetched before a decoder asks for them


@dataclass(frozen=True)
class WorkSettings:
    """How jobs are worked on; nothing here changes a row. ``stored_only``: as of a run's configuration."""

    retry_failed: bool = False
    checkpoint_seconds: float = 300.0
    stored_only: bool = False


@dataclass(frozen=True)
class _Batch:
    """What of a job goes to disk together: results, and failures of videos that were never run."""

    results: Sequence[VideoResult]
    refused: Mapping[str, tuple[tuple[str, ...], Failure]]


class _Open:
    """A job that has videos in the engine, or waiting for it."""

    def __init__(
        self,
        job: ShardJob,
        future: Future[JobReport],
        store: Store,
        root: Location,
        targets: Sequence[Target],
    ) -> None:
        self.job, self.future, self.root = job, future, root
        self.videos = {video.video_id: video for video in job.shard.videos}
        self.attempts = {target.expert: attempts(store, job.shard, target) for target in targets}
        self.measured = measured(store, job.shard.index) if targets else {}
        self.missing: dict[str, tuple[str, ...]] = {}  # videos that are not back, and their experts
        self.failed: set[str] = set()
        self.expert_videos: Counter[str] = Counter()
        self.already = set(self.videos)
        self.cut()

    def cut(self) -> _Batch:
        """What came back since the last cut."""
        batch = _Batch(self.results, self.refused) if hasattr(self, "results") else _Batch((), {})
        self.results: list[VideoResult] = []
        self.refused: dict[str, tuple[tuple[str, ...], Failure]] = {}
        self.cut_at = time.monotonic()
        return batch

    def expect(self, video_id: str, experts: tuple[str, ...]) -> None:
        self.missing[video_id] = experts
        self.already.discard(video_id)

    def take(self, result: VideoResult) -> None:
        self.results.append(result)
        self._book(result.task.video_id, failed=any(o.state == "failed" for o in result.outcomes.values()))

    def refuse(self, video_id: str, why: Failure) -> None:
        self.refused[video_id] = (self.missing[video_id], why)
        self._book(video_id, failed=True)

    def _book(self, video_id: str, *, failed: bool) -> None:
        self.expert_videos.update(self.missing.pop(video_id))
        if failed:
            self.failed.add(video_id)

    def as_named(self, outcome: Outcome, task: VideoTask) -> Outcome:
        """A failure that names the remote video instead of its copy here."""
        if outcome.failure is None or not is_remote(self.root):
            return outcome
        source = str(self.videos[task.video_id].source(self.root))
        message = outcome.failure.message.replace(os.fsdecode(task.path), source)
        return replace(outcome, reason=message, failure=replace(outcome.failure, message=message))

    def status(self) -> OpenJob:
        done = len(self.videos) - len(self.already) - len(self.missing)
        return OpenJob(tuple(self.already), done, len(self.failed), dict(self.expert_videos))

    def report(self) -> JobReport:
        return JobReport(
            already=frozenset(self.already),
            failed=frozenset(self.failed),
            left=frozenset(self.missing),
            expert_videos=self.expert_videos,
        )


class ShardWork:
    """Hands out the tasks of jobs as they come and writes each job's parts when its videos are back.

    :meth:`add`, :meth:`close` and :meth:`open_jobs` may be called from any thread; everything else is
    for the engine's. Writing happens in a thread beside it, one job at a time. A job that takes
    long is written in between (a checkpoint), so a killed run loses minutes, not a shard; :meth:`write_due`
    sees to it while no video comes back.
    """

    def __init__(
        self,
        store: Store,
        root: Location,
        selection: Selection,
        targets: Sequence[Target],
        settings: WorkSettings | None = None,
    ) -> None:
        self.meter: Meter | None = None
        self._store, self._root = store, root
        self._selection, self._targets = selection, targets
        self._settings = settings or WorkSettings()
        self._incoming: queue.SimpleQueue[tuple[ShardJob, Future[JobReport]] | None] = queue.SimpleQueue()
        self._over = self._dropping = False
        self._open: dict[int, _Open] = {}
        self._opened: dict[str, _Open] = {}  # by video
        self._waiting: deque[VideoTask] = deque()
        fetches = is_remote(root) and not self._settings.stored_only
        self._fetcher = Fetcher(ahead=4 * FETCH_AHEAD) if fetches else None
        self._writer = ThreadPoolExecutor(1, "writer")
        self._room = threading.Semaphore(MOST_WRITES)

    def add(self, job: ShardJob) -> Future[JobReport]:
        """Take up a job; the future holds its report once its rows are on disk."""
        future: Future[JobReport] = Future()
        self._incoming.put((job, future))
        return future

    def close(self, *, drop: bool = False) -> None:
        """No more jobs come. With ``drop``, videos that no decoder has yet are left for another time."""
        self._dropping = self._dropping or drop
        self._incoming.put(None)

    def tasks(self) -> Iterator[VideoTask | None]:
        """The videos to do, in the order of jobs and ids; None while there is none yet."""
        while True:
            self._draw()
            if self._dropping:
                self._waiting.clear()
            task = self._next()
            if task is None and self._over and not self._waiting:
                return
            yield task

    def wait(self, seconds: float) -> None:
        """Wait so long for the next job, or for the word that none comes."""
        with suppress(queue.Empty):
            self._take_in(self._incoming.get(timeout=seconds))

    def take(self, result: VideoResult) -> None:
        """Book a finished video; writes its job's rows if that is complete or has waited long."""
        opened = self._opened.pop(result.task.video_id)
        if self._fetcher is not None:
            self._fetcher.release(result.task.video_id)
        opened.take(result)
        self._write_if_due(opened)

    def write_due(self) -> None:
        """Write what has waited long in any job, whether or not another of its videos comes back soon."""
        for opened in list(self._open.values()):
            if opened.results or opened.refused:
                self._write_if_due(opened)

    def flush(self) -> None:
        """Write all that is finished, report on every job, and wait until it is on disk."""
        self._draw()
        for opened in list(self._open.values()):
            self._write(opened, last=True)
        self._end()

    def fail(self, error: BaseException) -> None:
        """End all jobs with this error."""
        self._over = True
        self._end()
        for opened in self._open.values():
            _settle(opened.future, error)
        while not self._incoming.empty():
            incoming = self._incoming.get()
            if incoming is not None:
                _settle(incoming[1], error)

    def open_jobs(self) -> dict[str, OpenJob]:
        """Jobs that are not reported yet, by attempt."""
        return {opened.job.attempt: opened.status() for opened in list(self._open.values())}

    def _end(self) -> None:
        self._writer.shutdown(wait=True)
        if self._fetcher is not None:
            self._fetcher.close()

    def _draw(self) -> None:
        while not self._incoming.empty():
            self._take_in(self._incoming.get())

    def _take_in(self, incoming: tuple[ShardJob, Future[JobReport]] | None) -> None:
        if incoming is None:
            self._over = True
            return
        try:
            self._open_job(*incoming)
        except Exception as error:  # of this job: a table that it reads is damaged, say
            self._open.pop(incoming[0].shard.index, None)
            _settle(incoming[1], error)

    def _open_job(self, job: ShardJob, future: Future[JobReport]) -> None:
        shard = job.shard
        if self._store.check_held is not None:
            self._store.check_held()  # before models run for rows that could not be written
        work = todo(self._store, shard, self._targets, retry_failed=self._settings.retry_failed)
        if self._settings.stored_only:
            work = {name: mine for name, mine in work.items() if not self._reads_files(mine)}
        else:
            record_inputs(self._store, self._root, shard)
        opened = self._open[shard.index] = _Open(
            job, future, self._store, self._root, self._targets if work else ()
        )
        stored = Stored(self._store, shard, self._targets, work)
        for video in shard.videos:
            if video.video_id not in work:
                continue
            experts = tuple(t.expert for t in self._targets if t.expert in work[video.video_id])
            opened.expect(video.video_id, experts)
            why = _refusal(job, video)
            if why is not None:
                opened.refuse(video.video_id, why)
                continue
            path = bytes(video.file(self._root)) if isinstance(self._root, Path) else b""
            self._waiting.append(stored.task(video.video_id, path, experts))
            self._opened[video.video_id] = opened
        self._write_if_due(opened)

    def _reads_files(self, experts: Collection[str]) -> bool:
        return any(self._selection.experts[name].reads_media for name in experts)

    def _next(self) -> VideoTask | None:
        """The next video that can be opened: of remote ones, the first that has arrived."""
        if self._fetcher is None:
            return self._waiting.popleft() if self._waiting else None
        for task in list(islice(self._waiting, FETCH_AHEAD)):
            opened = self._opened[task.video_id]
            video = opened.videos[task.video_id]
            self._fetcher.request(task.video_id, join(self._root, video.raw), video.size_bytes)
            error, copy = self._fetcher.error(task.video_id), self._fetcher.ready(task.video_id)
            if error is None and copy is None:
                continue
            self._waiting.remove(task)
            if copy is not None:
                return replace(task, path=bytes(copy))
            self._fetcher.release(task.video_id)
            del self._opened[task.video_id]
            opened.refuse(task.video_id, Failure("fetch", type(error).__name__, str(error)))
            self._write_if_due(opened)
        return None

    def _write_if_due(self, opened: _Open) -> None:
        if not opened.missing or time.monotonic() - opened.cut_at > self._settings.checkpoint_seconds:
            self._write(opened, last=not opened.missing)

    def _write(self, opened: _Open, *, last: bool) -> None:
        """Hand what is finished to the writer; waits while that is far behind."""
        if last:
            del self._open[opened.job.shard.index]
        self._room.acquire()
        self._writer.submit(self._write_batch, opened, opened.cut(), last)

    def _write_batch(self, opened: _Open, batch: _Batch, last: bool) -> None:
        started = time.monotonic()
        try:
            if batch.results or batch.refused:
                self._write_parts(opened, batch)
            if last:
                _settle(opened.future, opened.report())
        except BaseException as error:
            _settle(opened.future, error)
        finally:
            for result in batch.results:
                result.ledger.discard()
            self._room.release()
        if self.meter is not None:
            self.meter.add("write", time.monotonic() - started)

    def _write_parts(self, opened: _Open, batch: _Batch) -> None:
        """The videos' facts first, then the tables, upstream first."""
        self._write_facts(opened, batch.results)
        for target in self._targets:
            for table, spec in self._selection.experts[target.expert].tables().items():
                rows = [*_finished(opened, target, table, batch), *_refused(opened, target, table, batch)]
                if rows:
                    header = PartHeader(target, table, opened.job.shard.index, spec, self._selection.dtype)
                    merge_part(self._store, header, rows, members=opened.job.shard.members)

    def _write_facts(self, opened: _Open, results: Sequence[VideoResult]) -> None:
        """What is known of a file stays as its first whole pass measured it, unless the file changed."""
        facts = {}
        for result in results:
            video = opened.videos[result.task.video_id]
            if result.facts and opened.measured.get(video.video_id) != video.size_bytes:
                facts[video.video_id] = {**result.facts, "bytes": video.size_bytes}
        if facts:
            update_videos(self._store, opened.job.shard.index, facts)


def _refusal(job: ShardJob, video: Video) -> Failure | None:
    """Why a video is not run at all."""
    if job.blame is not None:
        return Failure("worker", "WorkerDied", job.blame)
    return None if video.problem is None else Failure("open", "MediaError", video.problem)


def _finished(opened: _Open, target: Target, table: str, batch: _Batch) -> Iterator[VideoRows]:
    for result in batch.results:
        outcome = result.outcomes.get(target.expert)
        if outcome is not None:
            outcome = opened.as_named(outcome, result.task)
            buffer = result.ledger.buffers[target.expert][table]
            state = _state(opened, target, result.task.video_id, outcome, table)
            yield VideoRows(result.task.video_id, state, buffer.batches() if buffer.rows else ())


def _refused(opened: _Open, target: Target, table: str, batch: _Batch) -> Iterator[VideoRows]:
    for video_id, (experts, why) in batch.refused.items():
        if target.expert in experts:
            outcome = Outcome("failed", {}, why.message, why)
            yield VideoRows(video_id, _state(opened, target, video_id, outcome, table))


def _state(opened: _Open, target: Target, video_id: str, outcome: Outcome, table: str) -> VideoState:
    return VideoState.of(
        outcome,
        table,
        size_bytes=opened.videos[video_id].size_bytes,
        attempts=opened.attempts[target.expert].get(video_id, 0) + 1,
    )


def _settle(future: Future[JobReport], outcome: JobReport | BaseException) -> None:
    """The first word on a job counts: one whose checkpoint failed has failed."""
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
