"""How far a run is: the run writes it, whoever shows it reads it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from extract.engine.meter import STAGES, Reading, Stage
from extract.weights.files import WeightFile, size_text
from pipeline.work.jobs import JobReport, ShardJob
from pipeline.work.worker_status import OpenJob, WorkerStatus


class _VideoCounts:
    """Videos by what became of them in jobs that are over, and in those that workers say are open.

    What a worker says may be older than the report of its job, or the last that was heard of it: a job that
    is over counts by its report alone. A video that was written by a worker that died later, so that the
    next one finds it there, was worked on by this run all the same.
    """

    def __init__(self) -> None:
        self.already: set[str] = set()
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.expert_videos: Counter[str] = Counter()
        self.open: dict[str, OpenJob] = {}  # by attempt
        self._heard: dict[str, OpenJob] = {}  # the last of every attempt that is not over
        self._over: set[str] = set()  # attempts
        self._begun: set[str] = set()  # videos that needed work when a worker began that died

    def died(self, job: ShardJob) -> None:
        """The worker of a job did not come back."""
        opened = self._end(job)
        if opened is not None:
            self._begun |= {video.video_id for video in job.shard.videos}.difference(opened.already)

    def report(self, job: ShardJob, report: JobReport) -> None:
        """A job is over."""
        self._end(job)
        names = {video.video_id for video in job.shard.videos} - report.left
        untouched = (names & report.already) - self._begun - self.done
        touched = names - untouched
        self.already = (self.already | untouched) - touched
        self.done |= touched
        self.failed = (self.failed - (names - report.already)) | report.failed
        self.expert_videos.update(report.expert_videos)

    def hear(self, workers: Iterable[WorkerStatus]) -> None:
        """Take up what the workers say of jobs that are not over."""
        said = {attempt: job for worker in workers for attempt, job in worker.open.items()}
        self.open = {attempt: job for attempt, job in said.items() if attempt not in self._over}
        self._heard |= self.open

    def _end(self, job: ShardJob) -> OpenJob | None:
        self._over.add(job.attempt)
        self.open.pop(job.attempt, None)
        return self._heard.pop(job.attempt, None)


@dataclass
class RunProgress:
    """Counts of videos, and the workers; the run writes it, another thread may read it at any time.

    Attributes:
        stage: what the run does, in words.
        total: videos of the store.
        already: videos that needed nothing.
        done: videos that something was computed of.
        failed: those among them in which an expert failed.
        deaths: jobs that lost their worker.
        place: where the workers are, if not in this process.
        warnings: what the run has to say, a line each.
        expert_videos: expert -> videos it is done with.
        workers: the latest status of each.
        started: seconds of the monotonic clock.
        stopping: set it, and the run writes what is finished and ends.

    Example:
        >>> import pipeline
        >>> progress = pipeline.RunProgress()
        >>> given = {"experts": ["scenes"], "options": {"scenes": {"detector": "content"}}}
        >>> report = pipeline.run("videos", "features", progress=progress, **given)
        >>> progress.stage, progress.done + progress.already, progress.total
        ('finishing', 24, 24)
    """

    stage: str = "planning"
    total: int = 0
    already: int = 0
    done: int = 0
    failed: int = 0
    deaths: int = 0
    place: str = ""
    warnings: tuple[str, ...] = ()
    expert_videos: Counter[str] = field(default_factory=Counter)
    workers: tuple[WorkerStatus, ...] = ()
    started: float = field(default_factory=time.monotonic)
    stopping: bool = False
    _counts: _VideoCounts = field(default_factory=_VideoCounts)
    _readings: dict[str, Reading] = field(default_factory=dict)  # the last of every worker that there was

    def show_download(self, file: WeightFile, done_bytes: int, size_bytes: int | None) -> None:
        """Take up how much of a weight file is here."""
        whole = "" if size_bytes is None else f" of {size_text(size_bytes)}"
        self.stage = f"downloading {file.name}: {size_text(done_bytes)}{whole}"

    def died(self, job: ShardJob) -> None:
        """Book a job whose worker did not come back."""
        self.deaths += 1
        self._counts.died(job)

    def report(self, job: ShardJob, report: JobReport) -> None:
        """Book a job that is over."""
        self._counts.report(job, report)
        if report.worker is not None:
            self._remember(report.worker)

    def show(self, workers: Iterable[WorkerStatus]) -> None:
        """Take up what the workers say, also of jobs that are not over; none when all are."""
        self.workers = tuple(workers)
        for worker in self.workers:
            self._remember(worker)
        counts = self._counts
        counts.hear(self.workers)
        self.already = len(counts.already)
        self.done = len(counts.done) + sum(job.done for job in counts.open.values())
        self.failed = len(counts.failed) + sum(job.failed for job in counts.open.values())
        experts = Counter(counts.expert_videos)
        for job in counts.open.values():
            experts.update(job.expert_videos)
        self.expert_videos = experts

    @property
    def worker_names(self) -> list[str]:
        """Every worker process that there was, as ``pid@host``."""
        return list(self._readings)

    def to_json(self) -> dict[str, Any]:
        """What the run did, stage by stage; the shares of ``busy`` are of its last seconds."""
        whole = self.whole
        return {
            "seconds": round(time.monotonic() - self.started, 1),
            "videos": self.done,
            "expert_videos": dict(self.expert_videos),
            "workers": len(self._readings),
            "jobs_that_lost_their_worker": self.deaths,
            **({} if whole is None else whole.to_json()),
        }

    def _remember(self, worker: WorkerStatus) -> None:
        """Keep the latest reading of a worker; heartbeats come late."""
        known = self._readings.get(worker.name)
        if worker.reading is not None and (
            known is None or sum(worker.reading.busy_seconds.values()) >= sum(known.busy_seconds.values())
        ):
            self._readings[worker.name] = worker.reading

    @property
    def now(self) -> Reading | None:
        """The workers that there are, as one; None before the first has started its engine."""
        return _as_one([worker.reading for worker in self.workers if worker.reading is not None])

    @property
    def whole(self) -> Reading | None:
        """The whole run, with workers that are gone."""
        return _as_one(list(self._readings.values()))


def _as_one(readings: list[Reading]) -> Reading | None:
    """Counts are added up, busy shares are means."""
    if not readings:
        return None

    def total(name: str) -> Any:
        values = [getattr(reading, name) for reading in readings]
        if not isinstance(values[0], Mapping):
            return sum(values)
        sums: Counter[str] = Counter()
        for value in values:
            sums.update(value)
        return dict(sums)

    busy: dict[Stage, float] = {
        stage: sum(reading.busy.get(stage, 0.0) for reading in readings) / len(readings) for stage in STAGES
    }
    return Reading(busy=busy, **{name: total(name) for name in _COUNTED})


_COUNTED = tuple(name for name in Reading.__dataclass_fields__ if name != "busy")
