"""Memory of every process over many shards while workers are recycled: ``python -m bench.soak``.

Real decoding in small portions: two seconds of picture and sound through shot detection by content,
descriptors and spectrograms, one video in each shard; a scheduler and two workers on a core each, which start
anew every so many seconds. Prints how memory went, and draws it (``--picture``). Status 1 says that rows are
missing or that a worker died.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bench.demo_trailers import Shot, Trailer, render_trailer
from bench.processes import Dask
from bench.resident import Roles, Sample, Trend, lines, trends, watch
from bench.scale import FILES_IN_A_FOLDER, REAL, WORKERS, memory_table, start_run
from bench.staged import Stages
from pipeline.store.layout import open_store
from pipeline.store.verify import verify

COLOURS = {"driver": "tab:red", "scheduler": "tab:blue", "nanny": "tab:grey", "worker": "tab:green"}
POINTS = 400  # of each line of the picture


@dataclass(frozen=True)
class Soak:
    """A run of ``shards``: when its stages began, samples of its processes, and the states of its videos."""

    shards: int
    stages: Stages
    samples: list[Sample]
    states: Counter[str]
    clean: bool

    @property
    def recycled(self) -> int:
        """Workers that were started anew."""
        return len({s.pid for s in self.samples if s.role.startswith("worker")}) - WORKERS

    @property
    def memory(self) -> list[Trend]:
        return trends(self.samples, self.stages.began["extracting"], self.stages.began["finishing"])


def soak(folder: Path, *, shards: int, lifetime_seconds: float, every_seconds: float = 1.0) -> Soak:
    """Run it. Raises RuntimeError if a video fails."""
    videos = short_videos(folder / "videos", shards)
    cores = sorted(os.sched_getaffinity(0))
    with Dask(folder / "dask", [{cores[i % len(cores)]} for i in range(WORKERS)]) as dask:
        lifetime = ("--worker-lifetime", f"{lifetime_seconds:g}s")
        driver = start_run(
            folder / "run", videos, "--shard-size", "1", "--scheduler", dask.address, *lifetime, *REAL
        )
        roles = Roles({"driver": driver.pid, **dask.pids})
        samples = watch(roles, lambda: driver.running, every_seconds=every_seconds)
        stages = driver.wait()
    store = open_store(folder / "run" / "features")
    states = Counter(pq.read_table(store.root / "coverage.parquet")["state"].to_pylist())
    return Soak(shards, stages, samples, states, verify(store).clean)


def short_videos(folder: Path, count: int) -> Path:
    """So many names of the same two seconds, by hard links."""
    source = folder.parent / "short.mp4"
    render_trailer(source, Trailer("short", (Shot(2.0, "waves"),), fps=12))
    for number in range(count):
        path = folder / f"{number // FILES_IN_A_FOLDER:04d}" / f"{number:07d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, path)
    return folder


def draw(result: Soak, picture: Path) -> None:
    """Memory over time: workers with their decoders above, what lives for the whole run below."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "marquee"})
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(8, 5), layout="constrained")
    above.set_title(
        f"{result.shards} shards, {WORKERS} workers, {result.recycled} times recycled",
        fontsize=10,
        loc="left",
    )
    began = result.stages.began["extracting"]
    slopes = {trend.role: f"{trend.role} ({trend.per_hour:+.1f} MB/h)" for trend in result.memory}
    for (role, _), (seconds, sizes) in sorted(lines(result.samples).items()):
        kind, number = (*role.split(), "")[:2]
        step = -(-len(seconds) // POINTS)
        axes: Any = above if kind == "worker" else below
        axes.plot(
            [(t - began) / 60 for t in seconds[::step]],
            sizes[::step],
            color=COLOURS[kind],
            linestyle="-" if number in ("", "1") else "--",
            linewidth=0.8 if kind == "worker" else 1.2,
            label=slopes.pop(role, None),
        )
    for axes, what in ((above, "worker with decoders, MB"), (below, "MB")):
        axes.set_ylim(bottom=0)
        axes.set_ylabel(what)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right", fontsize=8)
    below.set_xlabel("minutes")
    figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None)
    pyplot.close(figure)


def report(result: Soak) -> str:
    """As Markdown: what was done, and memory by process."""
    seconds = result.stages.extracting_seconds
    states = ", ".join(f"{count} {state}" for state, count in sorted(result.states.items()))
    return (
        f"{result.shards} shards in {seconds / 60:.1f} minutes, workers recycled {result.recycled} times; "
        f"{states}; the store is {'clean' if result.clean else 'NOT CLEAN'}\n\n"
        + memory_table(result.memory, seconds / result.shards)
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--shards", type=int, default=2000, help="of one video each (default: 2000)")
    parser.add_argument("--worker-lifetime", type=float, default=40.0, help="in seconds (default: 40)")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between samples (default: 1)")
    parser.add_argument("--picture", type=Path, help="SVG or PNG to draw")
    parser.add_argument("--folder", type=Path, help="for videos and the store (default: a temporary one)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="marquee-soak-", dir=chosen.folder) as folder:
        result = soak(
            Path(folder),
            shards=chosen.shards,
            lifetime_seconds=chosen.worker_lifetime,
            every_seconds=chosen.every,
        )
    print(report(result))
    if chosen.picture is not None:
        draw(result, chosen.picture)
    if not result.clean:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
