"""A run with all its parts in processes of their own, so that each can be pinned and timed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psutil

from bench.staged import Stages

ROOT = Path(__file__).parents[1]
START_SECONDS = 120.0
END_SECONDS = 30.0
JOBS_OF_A_WORKER = "2"  # the threads that a worker needs: pipeline.work.host.JOBS_AT_A_TIME
ENVIRONMENT = {"MARQUEE_EXPERTS": str(ROOT / "bench" / "experts"), "OMP_NUM_THREADS": "1"}


@contextmanager
def on_cores(cores: Collection[int] | None) -> Iterator[None]:
    """What this thread starts inside the block may run on these cores only; None: on all of its own."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if cores is None else cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Dask:
    """A scheduler and workers, each under its nanny, as Dask's command lines start them.

    Args:
        folder: for logs.
        cores: for each worker the cores that it and its decoders may run on; None: all.
    """

    def __init__(self, folder: Path, cores: Sequence[Collection[int] | None]) -> None:
        folder.mkdir(parents=True)
        self._folder, self._cores = folder, cores
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = ""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> dict[str, int]:
        """``scheduler``, and ``nanny 1``, ... whose only lasting child is the worker."""
        return {name: process.pid for name, process in self._processes.items()}

    def cpu_seconds(self, name: str) -> float:
        """What a process has taken so far, with all that are and were below it."""
        return _cpu_seconds(psutil.Process(self.pids[name]))

    def close(self) -> None:
        end([process.pid for process in self._processes.values()])
        for process in self._processes.values():
            process.wait()

    def _start(self) -> None:
        from distributed import Client

        log = self._run("scheduler", "scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard")
        deadline = time.monotonic() + START_SECONDS
        while not (match := re.search(r"Scheduler at:\s+(tcp://\S+)", log.read_text())):
            if time.monotonic() > deadline or self._processes["scheduler"].poll() is not None:
                raise RuntimeError(f"the scheduler does not start:\n{log.read_text()}")
            time.sleep(0.05)
        self.address = match[1]
        for number, cores in enumerate(self._cores, 1):
            with on_cores(cores):
                self._run(
                    f"nanny {number}", "worker", self.address, "--nthreads", JOBS_OF_A_WORKER,
                    "--no-dashboard", "--memory-limit", "0", "--local-directory", str(self._folder),
                )  # fmt: skip
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(len(self._cores), timeout=START_SECONDS)

    def _run(self, name: str, *arguments: str) -> Path:
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                cwd=ROOT,
                env={**os.environ, **ENVIRONMENT},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return log


class Driver:
    """``python -m extract`` with these arguments, in the background; ``notes`` is a new file."""

    def __init__(self, notes: Path, *arguments: str) -> None:
        self._notes = notes
        self._log = notes.with_suffix(".log")
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.staged", str(notes), *arguments],
                cwd=ROOT,
                env={**os.environ, **ENVIRONMENT},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self) -> Stages:
        """Raises RuntimeError unless all videos went well."""
        try:
            status = self._process.wait()
        except BaseException:
            end([self.pid])
            raise
        if status:
            raise RuntimeError(f"extract ended with status {status}:\n{self._log.read_text()}")
        return Stages.read(self._notes)


def end(pids: Sequence[int]) -> None:
    """End processes and all below them: by request, and after a while by force."""
    whole: list[psutil.Process] = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            whole += [process, *process.children(recursive=True)]
            process.terminate()
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(whole, timeout=END_SECONDS)
    for process in alive:
        process.kill()


def workers_of(driver: int) -> list[psutil.Process]:
    """The Dask worker processes that a driver has started."""
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        try:
            if "multiprocessing.spawn" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _cpu_seconds(process: psutil.Process) -> float:
    """Own, of children that have ended (the kernel adds those up), and of those that are there."""
    try:
        taken = process.cpu_times()
        ended = taken.children_user + taken.children_system
        below = sum(_cpu_seconds(child) for child in process.children())
        return float(taken.user + taken.system + ended + below)
    except psutil.Error:
        return 0.0
