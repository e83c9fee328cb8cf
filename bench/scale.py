"""What more workers bring, and what they cost: ``python -m bench.scale``.

Speed-up: rendered trailers through real experts that need no weights, by one worker and by two,
each with its decoder on one core and one thread of computing. Both are the workers of a scheduler
(``--scheduler``), pinned to their cores by the system; they have worked on a few videos before the
clock starts, so that what they import is loaded. The time is from when the driver has reached them until
all have ended the run.

Overhead: an expert that computes nothing (``bench/experts/stub.py``) on files that nobody opens, so that
what is left is the run itself: the driver, the scheduler, the workers' books, and the store's
files, which are synced to disk. The same shards in one process (``--workers 0``) say what Dask adds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.extract import render
from bench.processes import Dask, Driver
from bench.resident import Roles, Trend, trends, watch
from bench.staged import Stages

WORKERS = 2
REAL = ("--experts", "scenes,lowlevel,spectrogram", "--detector", "content", "--device", "cpu")
STUB = ("--experts", "stub", "--device", "cpu")
FILES_IN_A_FOLDER = 1000


@dataclass(frozen=True)
class Speed:
    """How long some workers took; ``cpu_seconds`` of each worker with its decoder."""

    start_up_seconds: float
    seconds: float
    cpu_seconds: tuple[float, ...]


@dataclass(frozen=True)
class Overhead:
    """What ``shards`` cost when the experts cost nothing; ``cpu_seconds`` by role."""

    shards: int
    seconds: float
    alone_seconds: float
    cpu_seconds: dict[str, float]
    memory: list[Trend]


def speed(folder: Path, videos: Path, warm_up: Path, *, workers: int, repeat: int = 1) -> Speed:
    """One worker for each of the first ``workers`` cores; the fastest of all repetitions."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < workers:
        raise SystemExit(f"{workers} workers at one core each need as many cores, and there are {len(cores)}")
    started = time.monotonic()
    with Dask(folder / "dask", [{core} for core in cores[:workers]]) as dask:
        arguments = ("--shard-size", "1", "--scheduler", dask.address, *REAL)
        start_up = _run(folder / "warm-up", warm_up, *arguments).began["over"] - started
        found = []
        for number in range(repeat):
            before = [dask.cpu_seconds(f"nanny {i + 1}") for i in range(workers)]
            stages = _run(folder / f"run {number}", videos, *arguments)
            after = [dask.cpu_seconds(f"nanny {i + 1}") for i in range(workers)]
            taken = tuple(b - a for a, b in zip(before, after, strict=True))
            found.append(Speed(start_up, stages.extracting_seconds, taken))
    return min(found, key=lambda one: one.seconds)


def overhead(folder: Path, *, shards: int, shard_size: int, every_seconds: float = 1.0) -> Overhead:
    """Shards of empty files through a scheduler and two workers, then in one process."""
    videos = empty_files(folder / "videos", shards * shard_size)
    warm_up = empty_files(folder / "few videos", 2 * WORKERS)
    size = ("--shard-size", str(shard_size))
    with Dask(folder / "dask", [None] * WORKERS) as dask:
        arguments = ("--scheduler", dask.address, *STUB)
        _run(folder / "warm-up", warm_up, "--shard-size", "1", *arguments)
        before = {name: dask.cpu_seconds(name) for name in dask.pids}
        driver = start_run(folder / "run", videos, *size, *arguments)
        roles = Roles({"driver": driver.pid, **dask.pids})
        samples = watch(roles, lambda: driver.running, every_seconds=every_seconds)
        stages = driver.wait()
        taken = {name: dask.cpu_seconds(name) - before[name] for name in dask.pids}
    alone = _run(folder / "alone", videos, *size, *STUB)
    return Overhead(
        shards=shards,
        seconds=stages.extracting_seconds,
        alone_seconds=alone.extracting_seconds,
        cpu_seconds={"driver": stages.extracting_cpu_seconds, **taken},
        memory=trends(samples, stages.began["extracting"], stages.began["finishing"]),
    )


def empty_files(folder: Path, count: int) -> Path:
    """So many files of a video's name with nothing in them."""
    for number in range(count):
        path = folder / f"{number // FILES_IN_A_FOLDER:04d}" / f"{number:07d}.mp4"
        if number % FILES_IN_A_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.touch()
    return folder


def speed_table(videos: int, speeds: Sequence[Speed]) -> str:
    """``speeds`` of 1, 2, ... workers, as Markdown."""
    first = speeds[0]
    rows = [
        "| workers | start-up s | seconds | videos/s | speed-up | CPU s of each worker | speed-up in CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, one in enumerate(speeds, 1):
        each = ", ".join(f"{seconds:.1f}" for seconds in one.cpu_seconds)
        rows.append(
            f"| {number} | {one.start_up_seconds:.1f} | {one.seconds:.1f} | {videos / one.seconds:.2f} "
            f"| {first.seconds / one.seconds:.2f} | {each} "
            f"| {first.cpu_seconds[0] / max(one.cpu_seconds):.2f} |"
        )
    return "\n".join(rows)


def overhead_table(result: Overhead, shard_size: int) -> str:
    """Milliseconds for each shard, then memory by process, as Markdown."""

    def each(seconds: float) -> str:
        return f"{1000 * seconds / result.shards:.1f}"

    rows = [
        f"| {result.shards} shards of {shard_size} videos | ms for each shard |",
        "|---|---|",
        f"| {WORKERS} workers, from the first shard to the last | {each(result.seconds)} |",
        f"| one process without Dask | {each(result.alone_seconds)} |",
    ]
    rows += [f"| processor time: {name} | {each(taken)} |" for name, taken in result.cpu_seconds.items()]
    return "\n".join([*rows, "", memory_table(result.memory, result.seconds / result.shards)])


def memory_table(memory: Sequence[Trend], seconds_of_a_shard: float) -> str:
    """Resident memory by process, as Markdown."""
    rows = ["| process | start MB | end MB | MB per 1,000 shards | MB per hour |", "|---|---|---|---|---|"]
    for one in memory:
        per_thousand = one.per_hour / 3600 * seconds_of_a_shard * 1000
        rows.append(
            f"| {one.role} | {one.start:.1f} | {one.end:.1f} | {per_thousand:+.2f} | {one.per_hour:+.1f} |"
        )
    return "\n".join(rows)


def start_run(place: Path, videos: Path, *arguments: str) -> Driver:
    """A run into a new store, with its notes and log beside it."""
    place.mkdir(parents=True)
    folders = ("--videos", str(videos), "--out", str(place / "features"))
    return Driver(place / "notes", *folders, *arguments)


def _run(place: Path, videos: Path, *arguments: str) -> Stages:
    return start_run(place, videos, *arguments).wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--only", choices=("speed-up", "overhead"), help="default: both")
    parser.add_argument("--copies", type=int, default=40, help="of the three rendered trailers (default: 40)")
    parser.add_argument("--repeat", type=int, default=2, help="of which the fastest counts (default: 2)")
    parser.add_argument("--shards", type=int, default=2000, help="of empty files (default: 2000)")
    parser.add_argument("--shard-size", type=int, default=50, help="files in each (default: 50)")
    parser.add_argument("--folder", type=Path, help="for videos and stores (default: a temporary one)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="marquee-scale-", dir=chosen.folder) as name:
        folder = Path(name)
        if chosen.only != "overhead":
            print(_load(), flush=True)
            videos = render(folder / "videos", copies=chosen.copies)
            warm_up = render(folder / "few videos", copies=2)
            speeds = [
                speed(folder / f"{workers} workers", videos, warm_up, workers=workers, repeat=chosen.repeat)
                for workers in range(1, WORKERS + 1)
            ]
            print(speed_table(len(list(videos.rglob("*.mp4"))), speeds), flush=True)
        if chosen.only != "speed-up":
            print(_load(), flush=True)
            result = overhead(folder / "overhead", shards=chosen.shards, shard_size=chosen.shard_size)
            print(overhead_table(result, chosen.shard_size), flush=True)
        print(_load())


def _load() -> str:
    return f"\n{len(os.sched_getaffinity(0))} cores, load average {os.getloadavg()[0]:.1f}\n"


if __name__ == "__main__":
    main()
