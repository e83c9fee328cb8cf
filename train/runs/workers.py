"""Trainings side by side: in this process, on the cores or GPUs of this machine, or on a Dask cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from extract.errors import MarqueeError
from pipeline.work.cluster import cluster_client
from pipeline.work.config import Cluster as Cluster

if TYPE_CHECKING:
    from distributed import Client, Future

K = TypeVar("K")
T = TypeVar("T")

_ONE_AT_A_TIME = threading.Lock()  # seeds are of a process: two trainings in one would disturb each other


class Crew(Protocol):
    """Who works on tasks; ``size`` at a time."""

    @property
    def size(self) -> int: ...

    def run(
        self, tasks: Mapping[K, Callable[[], T]], started: Callable[[K], None] = lambda key: None
    ) -> Iterator[tuple[K, T | Exception]]:
        """What came of each task, its exception if it raised one, as they end; ``started`` hears of each."""
        ...


@contextmanager
def crew(cluster: Cluster) -> Iterator[Crew]:
    """Those that ``cluster`` asks for; the worker of a GPU sees that one alone.

    Processes that are started here end with the block. Raises UsageError, MissingDependency
    and ClusterError for what cannot be had.
    """
    if cluster.in_process:
        yield InThisProcess()
        return
    with cluster_client(cluster) as client:
        yield OnDask(client)


class InThisProcess:
    """One task after the other."""

    size = 1

    def run(
        self, tasks: Mapping[K, Callable[[], T]], started: Callable[[K], None] = lambda key: None
    ) -> Iterator[tuple[K, T | Exception]]:
        for key, task in tasks.items():
            started(key)
            try:
                outcome: T | Exception = task()
            except Exception as error:  # one failure must not cost the other tasks
                outcome = error
            yield key, outcome


class OnDask:
    """As many tasks at a time as the client has workers, so that each has its machine's GPU to itself."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def size(self) -> int:
        return max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))

    def run(
        self, tasks: Mapping[K, Callable[[], T]], started: Callable[[K], None] = lambda key: None
    ) -> Iterator[tuple[K, T | Exception]]:
        waiting, keys = list(tasks.items()), dict[Any, K]()
        done: SimpleQueue[Any] = SimpleQueue()

        def submit() -> None:
            while waiting and len(keys) < self.size:
                key, task = waiting.pop(0)
                started(key)
                future = self._client.submit(_alone, task, pure=False)
                keys[future] = key
                future.add_done_callback(done.put)

        submit()
        try:
            while keys:
                future = done.get()
                outcome = _outcome(future)
                yield keys.pop(future), outcome
                submit()
        finally:
            self._client.cancel(list(keys))


def _alone(task: Callable[[], T]) -> T:
    with _ONE_AT_A_TIME:
        return task()


def _outcome(future: Future[Any]) -> Any:
    """What a task returned, or its exception; that of a worker that died again and again is in words."""
    from distributed import KilledWorker

    error = future.exception()
    if isinstance(error, KilledWorker):
        return MarqueeError("its worker died again and again: see whether its memory is enough")
    return future.result() if error is None else error
