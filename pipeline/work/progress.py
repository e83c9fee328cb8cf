"""How far a run is: the run writes it, whoever shows it reads it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from extract.engine.meter import STAGES, Reading, Stage
from extract.weights.files import WeightFile, size_text
from pipeline.work.counts import VideoCounts
from pipeline.work.jobs import JobReport, ShardJob
from pipeline.work.worker_status import WorkerStatus


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
    _counts: VideoCounts = field(default_factory=VideoCounts)
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
