"""What a run has done so far: each video counts once, however many workers had it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pipeline.work.jobs import JobReport, ShardJob
from pipeline.work.worker_status import OpenJob, WorkerStatus


class VideoCounts:
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
