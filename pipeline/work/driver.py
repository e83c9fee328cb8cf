"""The driver: shards to workers, a few at a time, until all are done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Protocol

from extract.errors import DeviceFault, MarqueeError
from pipeline.process.owner import HostProcess
from pipeline.store.videos import Shard
from pipeline.work.host import JOBS_AT_A_TIME, Host, HostSetup
from pipeline.work.jobs import JobReport, ShardJob, ShardJobs, WorkerDied
from pipeline.work.progress import RunProgress
from pipeline.work.worker_status import WorkerStatus

LOOK_SECONDS = 0.5  # between looks at the workers
STOP_SECONDS = 60.0  # that workers get to write what is finished


class ClusterError(MarqueeError):
    """The workers cannot be reached. The message says where they were looked for."""


class Workers(Protocol):
    """Where jobs are run. ``slots``: how many to hand out at once, now."""

    @property
    def slots(self) -> int: ...

    def submit(self, job: ShardJob) -> Future[JobReport]:
        """The future raises WorkerDied, or what keeps the job from being done anywhere."""
        ...

    def status(self) -> list[WorkerStatus]: ...

    def stop(self) -> None:
        """Have everything that is finished written; the jobs report what is left. Returns at once."""
        ...


class InProcess:
    """This process as the only worker. Once it has lost its device: one process after another in its place.

    Those get one job at a time, so that nobody else's video is there when one of them dies too. (What this
    process holds of the device's memory is not free before it ends.)
    """

    def __init__(self, host: Host, setup: HostSetup) -> None:
        self._host, self._setup = host, setup
        self._process: HostProcess | None = None

    @property
    def slots(self) -> int:
        return 1 if self._host.lost_device else JOBS_AT_A_TIME

    def submit(self, job: ShardJob) -> Future[JobReport]:
        if not self._host.lost_device:
            return self._host.submit(job)
        if self._process is None or self._process.ended:
            self._process = HostProcess(self._setup)
        return self._process.submit(job)

    def status(self) -> list[WorkerStatus]:
        return [(self._process or self._host).status()]

    def stop(self) -> None:
        self._host.stop()
        if self._process is not None:
            self._process.stop()

    def close(self) -> None:
        """Stop, and wait until everything is written and all processes are gone."""
        self._host.close()
        if self._process is not None:
            self._process.close()


def drive(shards: Iterable[Shard], workers: Workers, progress: RunProgress) -> None:
    """Run all shards; jobs in flight are bounded by the workers' slots, whatever the number of shards.

    A job whose worker died is retried in halves (:class:`pipeline.work.jobs.ShardJobs`). Once
    ``progress.stopping`` is set, nothing more is handed out and what is finished is written.

    Raises the first error that is not a worker's death, after everything finished was written.
    """
    waiting = iter(shards)
    again: deque[ShardJobs] = deque()
    running: dict[Future[JobReport], tuple[ShardJobs, ShardJob]] = {}
    stopped_at: float | None = None
    error: BaseException | None = None
    while True:
        over = progress.stopping or error is not None
        if over and stopped_at is None:
            workers.stop()
            stopped_at = time.monotonic()
        while not over and len(running) < workers.slots:
            shard_jobs = again.popleft() if again else _next_shard(waiting)
            if shard_jobs is None:
                break
            job = shard_jobs.next()
            if job is not None:
                running[workers.submit(job)] = shard_jobs, job
        if not running or (stopped_at is not None and time.monotonic() - stopped_at > STOP_SECONDS):
            break
        finished, _ = wait(running, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        for future in finished:
            shard_jobs, job = running.pop(future)
            error = _book(future, shard_jobs, job, progress) or error
            again.append(shard_jobs)
        progress.show(workers.status() if running else ())
    if error is not None:
        raise error


def _next_shard(shards: Iterator[Shard]) -> ShardJobs | None:
    shard = next(shards, None)
    return None if shard is None else ShardJobs(shard)


def _book(
    future: Future[JobReport], jobs: ShardJobs, job: ShardJob, progress: RunProgress
) -> BaseException | None:
    """What became of a job; returns an error that ends the run."""
    try:
        report = future.result()
    except (WorkerDied, DeviceFault):
        report = JobReport(died=True)
    except BaseException as error:
        return error
    if report.died:
        progress.died(job)
        jobs.died()
        return None
    progress.report(job, report)
    if report.left:
        jobs.again(report.left)
    return None
