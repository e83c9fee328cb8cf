"""Resident memory of the processes of a run over time, and whether it grows."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import psutil

SETTLED = 0.1  # of a run's time: until then processes still load what they need
MB = 1e6


@dataclass(frozen=True)
class Sample:
    """One process at a moment of the monotonic clock.

    ``role``: driver, scheduler, or with the number of a worker: nanny, worker, decoder.
    """

    seconds: float
    role: str
    pid: int
    resident_bytes: int


class Roles:
    """Samples processes that were started here, by name, and the workers and decoders below them."""

    def __init__(self, started: Mapping[str, int]) -> None:
        self._started = started
        self._known: dict[psutil.Process, str] = {}

    def sample(self) -> list[Sample]:
        """Every process that there is now; helpers that come and go are left out."""
        now = time.monotonic()
        samples = []
        for name, pid in self._started.items():
            try:
                root = psutil.Process(pid)
                processes = [root, *root.children(recursive=True)]
                self._known[root] = name
            except psutil.Error:
                continue
            for process in processes:
                try:
                    role = self._known.get(process) or self._role(name, process)
                    if role is not None:
                        samples.append(Sample(now, role, process.pid, process.memory_info().rss))
                except psutil.Error:  # it has just ended
                    continue
        return samples

    def _role(self, root: str, process: psutil.Process) -> str | None:
        command = " ".join(process.cmdline())
        for sign, role in (("extract.decoder.process", "decoder"), ("multiprocessing.spawn", "worker")):
            if sign in command:
                self._known[process] = root.replace("nanny", role)
                return self._known[process]
        return None  # a fork on its way to another program, perhaps to one of these


def watch(roles: Roles, running: Callable[[], bool], *, every_seconds: float) -> list[Sample]:
    """Samples until ``running()`` is false."""
    samples: list[Sample] = []
    while running():
        samples += roles.sample()
        time.sleep(every_seconds)
    return samples


def lines(samples: Iterable[Sample]) -> dict[tuple[str, int], tuple[list[float], list[float]]]:
    """Times (s) and sizes (MB) of each process, by role and pid; a worker with its decoders."""
    sizes: dict[tuple[str, int], dict[float, float]] = defaultdict(dict)
    owners: dict[tuple[float, str], tuple[str, int]] = {}
    ordered = sorted(samples, key=lambda sample: sample.role.startswith("decoder"))
    for sample in ordered:
        key = sample.role, sample.pid
        if sample.role.startswith("worker"):
            owners[sample.seconds, sample.role] = key
        elif sample.role.startswith("decoder"):
            owner = owners.get((sample.seconds, sample.role.replace("decoder", "worker")))
            if owner is None:
                continue
            key = owner
        sizes[key][sample.seconds] = sizes[key].get(sample.seconds, 0.0) + sample.resident_bytes / MB
    return {key: (sorted(line), [line[t] for t in sorted(line)]) for key, line in sizes.items()}


@dataclass(frozen=True)
class Trend:
    """Memory of one role, in MB: means of the first and last tenth after settling, and the slope.

    Of a worker that was recycled only the peak of each life counts.
    """

    role: str
    start: float
    end: float
    per_hour: float


def trends(samples: Sequence[Sample], began: float, ended: float) -> list[Trend]:
    """Of each role while the run worked; of a worker, with its decoders."""
    found: dict[str, list[list[tuple[float, float]]]] = defaultdict(list)
    settled = began + SETTLED * (ended - began)
    for (role, _), (seconds, sizes) in lines(samples).items():
        life = [(t, size) for t, size in zip(seconds, sizes, strict=True) if settled <= t <= ended]
        if life:
            found[role].append(life)
    result = []
    for role, lives in sorted(found.items()):
        peaks = [max(life, key=lambda point: point[1]) for life in lives]
        points = sorted(peaks if len(lives) > 1 else lives[0])
        if len(points) < 2:
            continue
        t, size = np.array(points).T
        tenth = max(1, len(t) // 10)
        per_second = float(np.polyfit(t - t[0], size, 1)[0])
        result.append(Trend(role, float(size[:tenth].mean()), float(size[-tenth:].mean()), 3600 * per_second))
    return result
