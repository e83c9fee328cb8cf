"""One process that works on jobs: the engine, loaded once, fed with the videos of many shards."""

from __future__ import annotations

import errno
import logging
import os
import platform
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NoReturn

from extract.engine.engine import Engine
from extract.engine.settings import EngineSettings
from extract.engine.task import VideoTask
from extract.errors import DeviceFault, StoreError, WeightsError
from extract.selection import Selection, select
from pipeline.gpus import gpu_of
from pipeline.storage.atomic import TMPDIR_CURES, refusal
from pipeline.storage.location import Location
from pipeline.store.layout import Store
from pipeline.store.lock import check_token
from pipeline.work.config import RunConfig, make_targets, usable_cores, usable_memory
from pipeline.work.jobs import JobReport, ShardJob
from pipeline.work.shards import ShardWork, WorkSettings
from pipeline.work.worker_status import WorkerStatus

JOBS_AT_A_TIME = 2  # while one job's last videos are computed, the next one's are decoded


@dataclass(frozen=True)
class HostSetup:
    """What a host needs to know of a run.

    Attributes:
        config: what is asked for; its ``out`` must mean the same on every host.
        root: the folder that the videos' paths are relative to.
        fingerprints: of every expert, as the driver has them.
        token: of the lock under which the run writes (:func:`pipeline.store.lock.writing`).
        cores: this host's share; None: all that its process may use.
    """

    config: RunConfig
    root: Location
    fingerprints: Mapping[str, str]
    token: str
    cores: int | None = None

    def select(self) -> Selection:
        """The selection of this process. Raises WeightsError if it is not the run's."""
        selection = select(self.config)
        for name, wanted in self.fingerprints.items():
            if selection.fingerprints[name] != wanted:
                raise WeightsError(
                    f"expert {name!r} is a different one on this worker (fingerprint "
                    f"{selection.fingerprints[name]}, the run wants {wanted}): all workers need the same "
                    "marquee, the same packages and the same weights"
                )
        return selection


class Host:
    """Works on jobs, in a thread of its own; the engine starts with the first video that is to be done.

    Jobs share the engine: what one leaves of a batch, the next one fills. ``selection`` spares a
    process that has one from making it again, and ``check_held``, which raises once another run holds the
    store, from asking the store for its token. ``lost_device``: it works no more, but another process
    may.
    """

    def __init__(
        self,
        setup: HostSetup,
        selection: Selection | None = None,
        check_held: Callable[[], None] | None = None,
    ) -> None:
        self.engine: Engine | None = None
        self._setup = setup
        self._selection = selection or setup.select()
        out = setup.config.out
        self._work = ShardWork(
            Store(out, check_held or partial(check_token, Store(out), setup.token)),
            setup.root,
            self._selection,
            make_targets(self._selection),
            WorkSettings(
                retry_failed=setup.config.retry_failed,
                checkpoint_seconds=setup.config.checkpoint_seconds,
                stored_only=setup.config.stored_only,
            ),
        )
        self.lost_device = False
        self._stopping = self._ended = False
        self._ending = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="host", daemon=True)
        self._thread.start()

    def submit(self, job: ShardJob) -> Future[JobReport]:
        """Work on a job. The future raises what keeps its rows from being written."""
        with self._ending:  # a job that comes after the end would never be reported
            if self._ended:
                future: Future[JobReport] = Future()
                future.set_result(JobReport(left=frozenset(video.video_id for video in job.shard.videos)))
                return future
            future = self._work.add(job)
        self._wake()
        return future

    def status(self) -> WorkerStatus:
        """How far the host is; may be asked at any time."""
        reading = None if self.engine is None else self.engine.reading()
        gpu = gpu_of(self._selection.device)
        return WorkerStatus(f"{os.getpid()}@{platform.node()}", self._work.open_jobs(), reading, gpu)

    def drain(self) -> None:
        """Finish the videos in work and write them; the jobs report what is left. Returns at once."""
        self._end(drop=True)

    def stop(self) -> None:
        """Write what is finished, give up the videos in work. Returns at once."""
        self._stopping = True
        self._end(drop=True)

    def close(self) -> None:
        """Stop, and wait until everything is written and all processes are gone."""
        self.stop()
        self._thread.join()

    def _end(self, *, drop: bool) -> None:
        with self._ending:
            self._ended = True
            self._work.close(drop=drop)
        self._wake()

    def _wake(self) -> None:
        engine = self.engine
        if engine is not None:
            engine.wake()

    def _run(self) -> None:
        try:
            tasks = self._work.tasks()
            first = self._first(tasks)
            if first is not None and not self._stopping:
                self._extract(chain([first], tasks))
            self._work.flush()
        except BaseException as error:
            self.lost_device = isinstance(error, DeviceFault)
            with self._ending:
                self._ended = True
            self._work.fail(_explained(error))

    def _first(self, tasks: Iterator[VideoTask | None]) -> VideoTask | None:
        """The first video that needs the engine: a run that finds all done loads no models."""
        for task in tasks:
            if task is not None:
                return task
            self._work.wait(0.2)
        return None

    def _extract(self, tasks: Iterator[VideoTask | None]) -> None:
        settings = engine_settings(self._setup.config, self._selection.device, cores=self._setup.cores)
        with Engine(self._selection, settings) as engine:
            self.engine = engine
            self._work.meter = engine.meter
            for result in engine.run(tasks, stop=lambda: self._stopping, each_turn=self._work.write_due):
                self._work.take(result)
            self._work.flush()  # rows are read from the engine's spill


def end_process(fault: DeviceFault) -> NoReturn:
    """End this worker at once, as a crash would, for a new one to do its jobs; the log says why."""
    logging.getLogger(__name__).error("%s, and ends; its jobs run again in another one", fault)
    os._exit(1)


def engine_settings(config: RunConfig, device: str, *, cores: int | None = None) -> EngineSettings:
    """A decoder for each core up to 16; models on the CPU take batches of 16, on a GPU of 64.

    Items may wait in an eighth of the memory; of the machine's, this process has the share that it has of the
    ``cores``.
    """
    all_cores = usable_cores()
    cores = cores or all_cores
    memory = usable_memory() * min(cores, all_cores) // all_cores
    return EngineSettings(
        decoders=config.decoders or min(cores, 16),
        batch_size=config.batch_size or (16 if device == "cpu" else 64),
        host_threads=cores,
        queue_bytes=config.queue_memory_bytes or max(1, memory // 8),
    )


def _explained(error: BaseException) -> BaseException:
    """One line for a full disk: rows wait in a temporary folder until they are written."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        folder = Path(tempfile.gettempdir())
        return StoreError(refusal(folder, OSError(error.errno, ""), cures=TMPDIR_CURES))
    return error
