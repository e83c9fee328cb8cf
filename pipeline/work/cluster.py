"""Shards on Dask: a cluster of this machine's cores or GPUs, or one that is running already.

The scheduler sees one task for each job in flight, two for each worker, never the whole plan. The
result of a task is a small report; rows go from the worker to the store.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from extract.errors import DeviceUnusable, MarqueeError, MissingDependency, UsageError, to_install
from pipeline.gpus import chosen_gpus, share_of
from pipeline.store.attempts import forget
from pipeline.store.layout import Store
from pipeline.work.config import Cluster, usable_cores
from pipeline.work.driver import ClusterError
from pipeline.work.host import JOBS_AT_A_TIME, HostSetup
from pipeline.work.jobs import JobReport, OutOfUse, ShardJob, WorkerDied
from pipeline.work.progress import RunProgress
from pipeline.work.worker_status import WorkerStatus

if TYPE_CHECKING:
    from distributed import Client, LocalCluster, Security

    from pipeline.work.worker import HostPlugin

REPORT_SECONDS = 30.0  # that a worker gets to hand over what it reports
CLOSE_SECONDS = 20.0  # that workers which were started here get to end
TRIES = 5
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
CLOCK_SECONDS = 5.0  # that the clock may go back


def check_cluster(cluster: Cluster) -> None:
    """Raises MissingDependency without Dask, UsageError for certificates and GPUs that cannot be used."""
    if cluster.in_process:
        return
    for module in ("distributed", "cryptography"):
        if importlib.util.find_spec(module) is None:
            raise MissingDependency(f"{module} is not installed here: {to_install('cluster')}")
    if cluster.gpus is not None:
        chosen_gpus(cluster.gpus)
    if cluster.scheduler is not None:
        _security(cluster)


@contextmanager
def cluster_client(cluster: Cluster) -> Iterator[Client]:
    """A client of the workers that ``cluster`` asks for; those that were started here end with the block.

    Raises ClusterError where no scheduler answers, and what :func:`check_cluster` does.
    """
    check_cluster(cluster)
    with _quiet(), _client(cluster) as client:
        yield client


@contextmanager
def dask_workers(setup: HostSetup, progress: RunProgress) -> Iterator[DaskWorkers]:
    """The workers of :func:`cluster_client`, as the driver sees them, which know the run."""
    with cluster_client(setup.config.cluster) as client:
        progress.place = f"{_address(client)} (dashboard: {client.dashboard_link})"
        workers = DaskWorkers(client, setup, progress)
        try:
            yield workers
        except KeyboardInterrupt:  # the second signal: whoever asks twice does not wait
            raise
        except BaseException:
            workers.close()
            raise
        workers.close()


@contextmanager
def _quiet() -> Iterator[None]:
    """What Dask logs of workers that come and go, the driver says in its own words."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


class DaskWorkers:
    """The workers of a Dask client, as the driver sees them."""

    def __init__(self, client: Client, setup: HostSetup, progress: RunProgress) -> None:
        from pipeline.work.worker import HostPlugin, plugin_name

        cluster = setup.config.cluster
        self._client, self._progress = client, progress
        self._out_of_use: set[str] = set()  # addresses of workers
        self._retiring = threading.Lock()
        self._store = Store(setup.config.out)
        self._plugin = plugin_name(setup)
        self._clock = self._clock_offset()
        self._running: dict[str, Any] = {}  # keeps Dask's futures alive
        self._workers: dict[str, Any] = {}
        self._register(
            HostPlugin(
                setup,
                lifetime_seconds=cluster.worker_lifetime_seconds,
                memory_bytes=cluster.worker_memory_bytes,
                ours=cluster.scheduler is None,
            )
        )
        self.status()

    @property
    def slots(self) -> int:
        """Two jobs for each worker that there is now."""
        return JOBS_AT_A_TIME * max(1, len(self._workers))

    def submit(self, job: ShardJob) -> Future[JobReport]:
        from pipeline.work.worker import run_job

        ours: Future[JobReport] = Future()
        theirs = self._client.submit(
            run_job, self._plugin, job, key=f"{self._plugin}-{job.attempt}", pure=False, retries=0
        )
        self._running[job.attempt] = theirs
        theirs.add_done_callback(lambda future: self._settle(job, future, ours))
        return ours

    def status(self) -> list[WorkerStatus]:
        """From the workers' last heartbeats."""
        if self._clock_offset() < self._clock - CLOCK_SECONDS:
            raise ClusterError(
                "this machine's clock was set back, which stalls Dask's messages; what was written is kept: "
                "run the same command to resume"
            )
        try:
            self._workers = dict(self._known())
        except (OSError, RuntimeError, TimeoutError, KeyError) as error:
            raise ClusterError(_gone(self._client)) from error
        found = (worker["metrics"].get(self._plugin) for worker in self._workers.values())
        return [WorkerStatus.from_json(status) for status in found if status]

    def _known(self) -> Mapping[str, Any]:
        """All workers by their addresses; before Dask 2026.7 it tells of five unless it is asked for all."""
        workers: Mapping[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return workers

    @staticmethod
    def _clock_offset() -> float:
        """Changes only when the wall clock is set."""
        return time.time() - time.monotonic()

    def stop(self) -> None:
        threading.Thread(target=self._stop, name="stop", daemon=True).start()

    def _stop(self) -> None:
        from pipeline.work.worker import stop_host

        with suppress(Exception):  # then there is nobody to stop
            self._client.run(stop_host, self._plugin, on_error="ignore")

    def close(self) -> None:
        """Have the workers forget the run."""
        with suppress(Exception):  # gone, with all that it knew
            self._client.unregister_worker_plugin(self._plugin)

    def _register(self, plugin: HostPlugin) -> None:
        """Have every worker, also those that come later, know the run."""
        for left in reversed(range(TRIES)):
            try:
                self._client.register_plugin(plugin, name=self._plugin)
                return
            except OSError as error:  # a worker went away just then
                if not left:
                    raise ClusterError(_gone(self._client)) from error
                time.sleep(1.0)

    def _settle(self, job: ShardJob, theirs: Any, ours: Future[JobReport]) -> None:
        """Hand on how a task ended; called in a thread of the client."""
        from distributed import KilledWorker

        try:
            if theirs.status == "finished":
                report = theirs.result(timeout=REPORT_SECONDS)
                if report.out_of_use is not None:
                    self._retire(report.out_of_use)
                ours.set_result(report)
            elif theirs.status == "error":
                error = theirs.exception(timeout=REPORT_SECONDS)
                ours.set_exception(WorkerDied(str(error)) if isinstance(error, KilledWorker) else error)
            else:
                ours.set_exception(self._why_lost())
        except DeviceUnusable as error:
            ours.set_exception(error)
        except Exception:
            ours.set_exception(self._why_lost())
        finally:
            del self._running[job.attempt]
            forget(self._store, job.attempt)

    def _retire(self, lost: OutOfUse) -> None:
        """Go on without a worker; raises DeviceUnusable where it is the last one."""
        with self._retiring:
            if lost.worker in self._out_of_use:
                return
            self._out_of_use.add(lost.worker)
            if not set(self._known()) - self._out_of_use:
                raise DeviceUnusable(lost.reason)
            self._progress.warnings += (f"a worker is out of use, the others do its jobs: {lost.reason}",)
            self._client.retire_workers([lost.worker], close_workers=True)

    def _why_lost(self) -> MarqueeError:
        """Why a report cannot be had: its worker went away with it, or the scheduler with everything."""
        try:
            self._client.scheduler_info()
        except Exception:
            return ClusterError(_gone(self._client))
        return WorkerDied("its report was lost")


@contextmanager
def _client(cluster: Cluster) -> Iterator[Client]:
    from distributed import Client

    if cluster.scheduler is not None:
        security = _security(cluster)
        try:
            client = Client(cluster.scheduler, security=security, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            with_them = f" to the certificates of {cluster.certificates}" if cluster.certificates else ""
            raise ClusterError(
                f"no Dask scheduler answers at {cluster.scheduler!r}{with_them} ({error}): start one, "
                "`dask scheduler`, or give the address of one that runs, tls://HOST:PORT"
            ) from error
        with client:
            yield client
        return
    started = _local_cluster(cluster)
    try:
        with Client(started, set_as_default=False) as client:
            yield client
    finally:
        # On a busy machine a worker may take longer to end than Dask waits after its SIGKILL. For one that
        # was killed and is being started again, Dask may wait for ever.
        with suppress(TimeoutError):
            started.close(timeout=CLOSE_SECONDS)


def _security(cluster: Cluster) -> Security:
    """The certificates of the run, or what Dask's own configuration has."""
    from distributed import Security

    from pipeline.work.certificates import read_certificates

    if cluster.certificates is not None:
        return read_certificates(cluster.certificates)
    configured = Security()
    if (
        str(cluster.scheduler).startswith("tls://")
        and not configured.get_tls_config_for_role("client")["ca_file"]
    ):
        raise UsageError(
            f"--scheduler {cluster.scheduler} needs the cluster's certificates: give --certificates DIR, "
            "or set MARQUEE_CERTIFICATES"
        )
    return configured


def _local_cluster(cluster: Cluster) -> LocalCluster:
    """Processes on this machine. One that dies while it starts makes Dask give up: then all start again.

    Nothing listens beyond loopback, and there, where other users of the machine are too, only certificates
    that are made for this run, and are known to its processes alone, open a connection.
    """
    from distributed import Security

    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "dashboard_address": "127.0.0.1:8787",
        "security": Security.temporary(),
        "threads_per_worker": JOBS_AT_A_TIME,
        "memory_limit": 0,
        "silence_logs": logging.CRITICAL,  # in the workers too
    }
    # Read by a library when a model first needs it; Dask's own default is one thread.
    threads = dict.fromkeys(THREADS, str(cores_of_a_worker(cluster)))
    if cluster.gpus is not None:
        from pipeline.process.gpu_cluster import GpuCluster

        start: Callable[[], LocalCluster] = partial(
            GpuCluster, chosen_gpus(cluster.gpus), threads, **settings
        )
    else:
        from distributed import LocalCluster as Plain

        start = partial(Plain, n_workers=cluster.workers, env=threads, **settings)
    for left in reversed(range(TRIES)):
        try:
            with warnings.catch_warnings():  # another dashboard has the port: ours takes the next
                warnings.filterwarnings("ignore", message="Port .* is already in use")
                return start()
        except (RuntimeError, OSError) as error:
            if not left:
                why = error.__cause__ or error
                raise ClusterError(
                    f"the worker processes do not start: {why}; a script of your own must call this below "
                    "`if __name__ == '__main__':`, since every worker reads it again"
                ) from error
    raise AssertionError


def cores_of_a_worker(cluster: Cluster) -> int | None:
    """The share of a worker that is started here; None where workers see who shares their machine."""
    workers = len(chosen_gpus(cluster.gpus)) if cluster.gpus is not None else cluster.workers
    return share_of(usable_cores(), workers) if workers else None


def _address(client: Client) -> str:
    return str(client.scheduler.address) if client.scheduler is not None else "an unknown address"


def _gone(client: Client) -> str:
    return (
        f"the scheduler at {_address(client)} is gone; what was written is kept: start it again, then run "
        "the same command to resume"
    )
