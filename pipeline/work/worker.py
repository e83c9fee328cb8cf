"""What runs on a Dask worker: the host of a run, fed by the tasks that the scheduler sends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psutil
from distributed import Worker, WorkerPlugin, get_worker
from distributed.comm.addressing import get_address_host
from distributed.utils import sync

from extract.errors import DeviceFault, DeviceUnusable
from pipeline.gpus import share_of
from pipeline.store.attempts import begin, forget
from pipeline.store.layout import Store
from pipeline.work.config import usable_cores
from pipeline.work.host import JOBS_AT_A_TIME, Host, HostSetup, end_process
from pipeline.work.jobs import JobReport, OutOfUse, ShardJob
from pipeline.work.worker_status import WorkerStatus

WATCH_SECONDS = 1.0
FETCH_SECONDS = 10.0  # that the driver gets to fetch the last reports of a worker that leaves
IDLE_SECONDS = 600.0  # after which a host without jobs gives its models back


class HostPlugin(WorkerPlugin):
    """Keeps the host of a run on a worker, and restarts the worker when it is old or large.

    Args:
        setup: of the host, which is made with the first job.
        lifetime_seconds, memory_bytes: a worker that is older, or larger with all its processes,
            finishes the videos in work, reports what is left of its jobs, and is started again
            by its nanny. None: never.
        ours: the worker was started by the driver, whose Ctrl-C reaches it too and is not meant for it.
    """

    def __init__(
        self, setup: HostSetup, *, lifetime_seconds: float | None, memory_bytes: int | None, ours: bool
    ) -> None:
        self._setup, self._ours = setup, ours
        self._lifetime_seconds, self._memory_bytes = lifetime_seconds, memory_bytes

    def setup(self, worker: Worker) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._worker = worker
        self._host: Host | None = None
        self._stopped = self._leaving = self._any_done = False
        self._lock = threading.Lock()
        self._slots = threading.Semaphore(JOBS_AT_A_TIME)
        self._entering = threading.Lock()
        self._jobs = 0
        self._unfetched: dict[Any, str] = {}  # attempts by task whose reports the driver may not have yet
        self._started = self._used = time.monotonic()
        self._gone = threading.Event()
        worker.metrics.update(self._metrics())
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    async def teardown(self, worker: Worker) -> None:
        """Write what is finished; the run, or this worker, is over."""
        self._stopped = True
        self._gone.set()
        for name in self._metrics():
            worker.metrics.pop(name, None)
        if self._host is not None:
            await asyncio.to_thread(self._host.close)
        # What ended in good order did not die: Dask, which drops the reports now, may hand it out again.
        if self._reports_wait():
            for attempt in self._unfetched.values():
                forget(Store(self._setup.config.out), attempt)

    def run(self, job: ShardJob) -> JobReport:
        """Work on a job, in one of the worker's threads, until it is written."""
        with self._turn(alone=job.alone):
            if self._leaving or self._due():
                self._gone.wait()  # Dask runs this elsewhere as soon as the worker has gone
            unfinished = JobReport(left=frozenset(video.video_id for video in job.shard.videos))
            if self._stopped:
                return unfinished
            if not begin(Store(self._setup.config.out), job.attempt):
                return JobReport(died=True)
            self._reports_wait()
            with self._lock:
                self._unfetched[get_worker().get_current_task()] = job.attempt
            try:
                return replace(self._submit(job).result(), worker=self._status())
            except DeviceFault as fault:
                end_process(fault)
            except DeviceUnusable as error:
                self._leaving = (
                    True  # whether it goes, the driver decides, who knows what other workers there are
                )
                return replace(unfinished, out_of_use=OutOfUse(self._worker.address, str(error)))

    @contextmanager
    def _turn(self, *, alone: bool) -> Iterator[None]:
        """Wait for a slot, or for all of them."""
        slots = JOBS_AT_A_TIME if alone else 1
        with self._entering:  # so that no two wait for each other's
            for _ in range(slots):
                self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release(slots)

    def stop(self) -> None:
        """Have everything that is finished written; jobs report what is left."""
        with self._lock:
            self._stopped = True
            if self._host is not None:
                self._host.stop()

    def _submit(self, job: ShardJob) -> Future[JobReport]:
        cores = self._setup.cores or share_of(usable_cores(), _sharers(self._worker))
        with self._lock:
            if self._host is None:
                self._host = Host(replace(self._setup, cores=cores))
            self._jobs += 1
            future = self._host.submit(job)
        future.add_done_callback(self._done)
        return future

    def _done(self, _: Future[JobReport]) -> None:
        with self._lock:
            self._any_done = True
            self._jobs -= 1
            self._used = time.monotonic()

    def _watch(self) -> None:
        while not self._gone.wait(WATCH_SECONDS):
            if self._due():
                self._leave()
                return
            self._give_back()

    def _due(self) -> bool:
        if not (self._any_done or self._status().open_done):
            return False  # a life that is shorter than the start would never get anywhere
        age = time.monotonic() - self._started
        if self._lifetime_seconds is not None and age > self._lifetime_seconds:
            return True
        return self._memory_bytes is not None and _resident_bytes() > self._memory_bytes

    def _leave(self) -> None:
        """Finish what is in work, let the driver have the reports, and restart."""
        self._leaving = True
        with self._lock:
            if self._host is not None:
                self._host.drain()
        while self._jobs and not self._gone.wait(0.05):
            pass
        deadline = time.monotonic() + FETCH_SECONDS
        while self._reports_wait() and time.monotonic() < deadline and not self._gone.wait(0.05):
            pass
        self._worker.loop.add_callback(self._worker.close_gracefully, restart=True, reason="marquee-recycled")

    def _reports_wait(self) -> bool:
        """Whether this worker still holds reports: Dask forgets a task once the driver has its result."""
        with self._lock:
            known = set(self._worker.state.tasks)
            self._unfetched = {task: attempt for task, attempt in self._unfetched.items() if task in known}
            return bool(self._unfetched)

    def _give_back(self) -> None:
        """Let go of the models of a run whose driver went away."""
        with self._lock:
            if self._host is None or self._jobs or time.monotonic() - self._used < IDLE_SECONDS:
                return
            host, self._host = self._host, None
        host.close()

    def _status(self) -> WorkerStatus:
        host = self._host
        return WorkerStatus() if host is None else host.status()

    def _metrics(self) -> dict[str, Callable[[Worker], Any]]:
        """What the heartbeat carries: the status for the driver, single figures for the dashboard."""

        def figure(name: str) -> Callable[[Worker], Any]:
            return lambda _: self._status().figures().get(name, 0.0)

        return {
            plugin_name(self._setup): lambda _: self._status().to_json(),
            **{f"marquee {name}": figure(name) for name in WorkerStatus().figures()},
        }


def _sharers(worker: Worker) -> int:
    """How many workers of the scheduler share this one's machine.

    dask-cuda starts them one after another, so some may be missing still; it shows each all of its GPUs.
    """
    known: list[dict[str, Any]] = list(sync(worker.loop, worker.scheduler.identity)["workers"].values())
    mine: str = get_address_host(worker.address)
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "") if "dask_cuda" in sys.modules else ""
    return max([other["host"] for other in known].count(mine), gpus.count(",") + 1)


def plugin_name(setup: HostSetup) -> str:
    """One for each run."""
    return f"marquee-{setup.token[:12]}"


def run_job(plugin: str, job: ShardJob) -> JobReport:
    """The task: run a job on the worker that it was sent to."""
    found = get_worker().plugins[plugin]
    assert isinstance(found, HostPlugin)
    return found.run(job)


def stop_host(plugin: str, dask_worker: Worker) -> None:
    """Have a worker write what is finished; to be called with ``Client.run``."""
    found = dask_worker.plugins.get(plugin)
    if isinstance(found, HostPlugin):
        found.stop()


def _resident_bytes() -> int:
    """Of this process and its decoders."""
    me = psutil.Process()
    total = 0
    for process in (me, *me.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.Error:  # it ended just now
            continue
    return total
