"""Runs that are killed again and again lose and double nothing: ``python -m bench.kills --kills 20``.

SIGKILL at random instants, to runs in one process and to runs with two workers of their own: to all of
their processes, to the driver alone, or to a worker. Then ``--last`` kills while nothing of a shard is left
but its long last film. After a kill the same command goes on (a killed worker is replaced by the run
itself) until it ends; then another store is begun.

Right after each kill it is counted what the store holds. A video that had come back before the last
checkpoint was due (``CHECKPOINT_SECONDS``, and ``WRITE_SECONDS`` to write it) must be there, else it is lost.
What came back later may be computed again. Status 1 says that videos were lost, that a store is not clean,
or that its rows are not those of a run that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from bench.demo_trailers import Shot, Trailer, render_trailer
from bench.processes import ENVIRONMENT, ROOT, workers_of
from bench.rows import digest
from pipeline import Cluster, RunProgress, read, run
from pipeline.store.layout import open_store
from pipeline.store.todo import todo
from pipeline.store.verify import verify
from pipeline.store.videos import read_shards
from pipeline.work.worker_status import WorkerStatus

VICTIMS = {0: ("all",), 2: ("all", "driver", "worker")}  # by number of workers
EXPERTS = ("scenes", "lowlevel", "spectrogram")
SHARDS, SHARD_SIZE = 2, 7
LONG_SECONDS = 60.0
LAST = f" {SHARD_SIZE - 1}"  # how the name of the long film ends
CHECKPOINT_SECONDS, WRITE_SECONDS = 1.0, 2.0
END_SECONDS = 300.0  # that a run may take when nobody disturbs it, and processes when their driver is gone
MOST_STORES = 100
TABLES = ("videos", "scenes", "lowlevel", "lowlevel_video", "spectrogram")


class _Noting(RunProgress):
    """Writes down how many videos have come back, and when."""

    def show(self, workers: Iterable[WorkerStatus]) -> None:
        super().show(workers)
        with open(sys.argv[4], "a") as notes:
            notes.write(json.dumps([time.monotonic(), self.done]) + "\n")


def noted_run() -> None:
    """The process to be killed; its arguments are videos, store, workers and the file for notes."""
    videos, out, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    run(
        videos, out, experts=EXPERTS, options={"scenes": {"detector": "content"}}, device="cpu",
        shard_size=SHARD_SIZE, checkpoint_seconds=CHECKPOINT_SECONDS, decoders=2,
        cluster=Cluster(workers=workers), progress=_Noting(),
    )  # fmt: skip


def write_videos(folder: Path) -> Path:
    """Shards of short videos with a long one as the last."""
    folder.mkdir()
    short, long = folder.parent / "short.mp4", folder.parent / "long.mp4"
    render_trailer(short, Trailer("short", (Shot(1.5, "waves"), Shot(1.5, "bricks")), fps=12))
    render_trailer(long, Trailer("long", (Shot(LONG_SECONDS, "waves"),), fps=12))
    for shard in range(SHARDS):
        for number in range(SHARD_SIZE):
            os.link(long if number == SHARD_SIZE - 1 else short, folder / f"{shard} {number}.mp4")
    return folder


def left(out: Path) -> list[set[str]]:
    """By shard, the videos that are not in the store yet; none before there is a plan."""
    if not (out / "run.json").exists():
        return []
    store = open_store(out)
    return [set(todo(store, shard, store.targets())) for shard in read_shards(store)]


def stored(out: Path) -> int:
    """Videos that are in the store."""
    missing = left(out)
    return SHARDS * SHARD_SIZE - sum(map(len, missing)) if missing else 0


def contents(out: Path) -> dict[str, str]:
    """A digest of each table."""
    tables = {name: read(out, name) for name in TABLES}
    tables |= {name: pq.read_table(out / f"{name}.parquet") for name in ("coverage", "failures")}
    return {name: digest(table) for name, table in tables.items()}


class Victim:
    """A run in the background that notes what comes back."""

    def __init__(self, videos: Path, out: Path, workers: int) -> None:
        self._out, self._workers = out, workers
        self._notes = out.with_suffix(".notes")
        self._notes.write_text("")
        self._stored_before = stored(out)
        self._log = out.with_suffix(".log")
        command = [sys.executable, "-c", "from bench.kills import noted_run; noted_run()"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *map(str, (videos, out, workers, self._notes))],
                cwd=ROOT, env={**os.environ, **ENVIRONMENT}, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def wait(self, seconds: float) -> bool:
        """Whether it ended by itself within this time. Raises RuntimeError if that went wrong."""
        try:
            status = self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        if status:
            raise RuntimeError(f"a run ended with status {status}:\n{self._log.read_text()}")
        return True

    def wait_for_last(self) -> bool:
        """The same, until a shard has nothing left but its last film."""
        while not self.wait(0.1):
            if any(missing and all(name.endswith(LAST) for name in missing) for missing in left(self._out)):
                return False
        return True

    def finish(self) -> None:
        """Wait for its end. Raises RuntimeError if that takes too long or goes wrong."""
        if not self.wait(END_SECONDS):
            raise RuntimeError(f"a run does not end within {END_SECONDS:g} s")

    def kill(self, whom: str) -> str:
        """SIGKILL; returns whom it hit, all where there is no worker yet.

        Raises RuntimeError if other processes of the run outlive its driver.
        """
        if whom == "worker" and (workers := workers_of(self._process.pid)):
            workers[0].kill()
            return whom
        below = psutil.Process(self._process.pid).children(recursive=True)
        if whom == "driver":
            self._process.kill()
        else:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if psutil.wait_procs(below, timeout=END_SECONDS)[1]:
            raise RuntimeError(f"processes outlived their driver by {END_SECONDS:g} s")
        return "driver" if whom == "driver" else "all"

    def balance(self, killed_at: float) -> tuple[int, int]:
        """Videos that are lost against the promise, and those to be computed again by it."""
        new = stored(self._out) - self._stored_before
        notes = [json.loads(line) for line in self._notes.read_text().splitlines() if line.endswith("]")]

        def back(until: float) -> int:
            return max((done for seconds, done in notes if seconds <= until), default=0)

        due = back(killed_at - CHECKPOINT_SECONDS - WRITE_SECONDS)
        return max(0, due - new), max(0, back(killed_at) - max(new, due))


@dataclass
class Report:
    """What the kills did."""

    kills: Counter[str] = field(default_factory=Counter)  # by whom they hit
    stores: int = 0
    lost: int = 0
    again: int = 0
    wrong: list[str] = field(default_factory=list)


def disturb(
    report: Report, folder: Path, expected: dict[str, str], *, workers: int, kills: int, last: bool,
    span_seconds: float, chance: random.Random,
) -> None:  # fmt: skip
    """Kill runs so often, each within a span, and let them end; then their stores are compared."""
    while kills > 0:
        report.stores += 1
        if report.stores > MOST_STORES:
            raise RuntimeError("the runs end before they can be killed: make the long film longer")
        out = folder / f"features {report.stores}"
        while True:
            victim = Victim(folder / "videos", out, workers)
            if kills == 0:
                victim.finish()
                break
            if (last and victim.wait_for_last()) or victim.wait(chance.uniform(0, span_seconds)):
                break
            killed_at = time.monotonic()
            whom = victim.kill(chance.choice(VICTIMS[workers]))
            lost, again = victim.balance(killed_at)
            report.kills[f"{workers} workers, {'last film, ' if last else ''}{whom}"] += 1
            report.lost, report.again, kills = report.lost + lost, report.again + again, kills - 1
            print(f"{workers} workers: killed {whom}, {lost} lost, {again} again", flush=True)
            if whom == "worker":
                victim.finish()
                break
        report.wrong += [f"{out.name}: {problem}" for problem in verify(open_store(out)).problems]
        found = contents(out)
        report.wrong += [
            f"{out.name}: other rows in {name}" for name in found if found[name] != expected[name]
        ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="at random instants (default: 20)")
    parser.add_argument("--last", type=int, default=6, help="while a shard's last film runs (default: 6)")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    chance, report, started = random.Random(chosen.seed), Report(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="marquee-kills-") as name:
        folder = Path(name)
        videos = write_videos(folder / "videos")
        usual: dict[int, float] = {}
        expected = {}
        for workers in VICTIMS:
            began = time.monotonic()
            out = folder / f"undisturbed {workers}"
            Victim(videos, out, workers).finish()
            usual[workers] = time.monotonic() - began
            expected[workers] = contents(out)
        for number, workers in enumerate(VICTIMS):
            for kills, last in ((chosen.kills, False), (chosen.last, True)):
                disturb(
                    report, folder, expected[0], workers=workers, last=last, chance=chance,
                    kills=kills // len(VICTIMS) + (number < kills % len(VICTIMS)),
                    span_seconds=2.0 if last else usual[workers],
                )  # fmt: skip
    print(f"{report.kills.total()} kills in {time.monotonic() - started:.0f} s, {report.stores} stores")
    for whom, count in sorted(report.kills.items()):
        print(f"  {whom}: {count}")
    print(f"finished videos lost: {report.lost}; computed again within the promise: {report.again}")
    print(f"stores that are not clean or have other rows: {report.wrong or 'none'}")
    return int(bool(report.lost or report.wrong or expected[0] != expected[2]))


if __name__ == "__main__":
    sys.exit(main())
