"""Ours and the ways of others on the same trailers: ``python -m bench.peers``.

Both sides run the same taps and the same networks with the same seeded weights on the CPU, each in a process
of its own, one after the other: only the way differs (:mod:`bench.peers_passes`). ``sulun2024`` is compared
with the paper's way, ``fish2021`` with one decode for each model as in video_features. Ours is a normal run
into a store. Rows of both are compared.

``loaded`` is from the start of the process until all networks are there; ours decodes and computes before.
All other figures are of the whole process, its decoders included: use enough videos. ``efficiency`` is its
processor seconds / cores / seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.demo_trailers import Shot, Texture, Trailer, render_trailer
from bench.extract import OPTIONS
from bench.peers_side import Side, Times
from extract.registry import with_upstream
from pipeline.settings import choose, load_preset
from pipeline.storage.parquet import parquet_dataset
from pipeline.store.reading import read
from pipeline.work.config import usable_cores

SEED = 1
PRESETS = ("sulun2024", "fish2021")
SHOT_SECONDS = 2.5
TEXTURES: tuple[Texture, ...] = ("clouds", "bricks", "black", "waves", "discs")


@dataclass(frozen=True)
class Agreement:
    """Rows of a table on both sides, and the least cosine of two vectors of a row (NaN without vectors)."""

    table: str
    ours: int
    theirs: int
    cosine: float


@dataclass(frozen=True)
class Result:
    preset: str
    videos: int
    cores: int
    ours: Times
    theirs: Times
    agreements: Sequence[Agreement]

    def efficiency(self, times: Times) -> float:
        return times.cpu_seconds / self.cores / times.ended


def render(folder: Path, *, videos: int, seconds: float) -> None:
    """Trailers of ``seconds`` or a little less, with a cut every 2.5 s and a title in each fifth shot."""
    shots = [
        Shot(SHOT_SECONDS, texture, (f"TITLE {number}",) if texture == "black" else ())
        for number, texture in enumerate(islice(cycle(TEXTURES), max(1, int(seconds / SHOT_SECONDS))))
    ]
    for number in range(videos):
        render_trailer(folder / f"trailer {number:03}.mp4", Trailer(f"trailer {number:03}", tuple(shots)))


def compare(preset: str, only: Sequence[str] | None, videos: Path, folder: Path) -> Result:
    """Both sides on the videos of a folder; ``folder`` is for what they write."""
    experts = with_upstream(only or load_preset(preset).experts)
    layers = [{name: values for name, values in OPTIONS.items() if name in experts}]
    names, options = choose(preset=preset, experts=experts, layers=layers)
    times = {
        way: _run(Side(way, str(videos), str(folder / way), names, options, SEED, time.monotonic()))
        for way in (preset, "ours")
    }
    agreements = list(_agreements(folder / "ours", folder / preset / "tables"))
    count = len(list(videos.iterdir()))
    return Result(preset, count, usable_cores(), times["ours"], times[preset], agreements)


def _run(side: Side) -> Times:
    command = [sys.executable, "-m", "bench.peers_side"]
    done = subprocess.run(
        command, input=json.dumps(asdict(side)), stdout=subprocess.PIPE, text=True, check=True
    )
    return Times(**json.loads(done.stdout.splitlines()[-1]))


def _agreements(store: Path, tables: Path) -> Iterator[Agreement]:
    for folder in sorted(tables.iterdir()):
        theirs = parquet_dataset(sorted(folder.iterdir()), None).to_table()
        ours = read(store, folder.name)
        yield Agreement(folder.name, ours.num_rows, theirs.num_rows, _least_cosine(ours, theirs))


def _least_cosine(ours: pa.Table, theirs: pa.Table) -> float:
    """Over the rows that both have, of the same video and number."""
    if "embedding" not in ours.column_names:
        return float("nan")
    vectors = [
        {(row["video_id"], row["row"]): np.array(row["embedding"], np.float64) for row in table.to_pylist()}
        for table in (ours, theirs)
    ]
    pairs = [(mine, vectors[1][key]) for key, mine in vectors[0].items() if key in vectors[1]]
    return min(
        (float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))) for a, b in pairs), default=float("nan")
    )


def table(results: Sequence[Result]) -> str:
    """Two Markdown tables: times with ratios, and the rows of both sides."""
    lines = [
        "| preset | way | first batch s | loaded s | whole s | s/video | cpu s/video | efficiency |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        for way, times in (("theirs", r.theirs), ("ours", r.ours)):
            lines.append(
                f"| {r.preset} | {way} | {times.first_batch:.1f} | {times.loaded:.1f} | {times.ended:.1f} "
                f"| {times.ended / r.videos:.2f} | {times.cpu_seconds / r.videos:.2f} "
                f"| {r.efficiency(times):.2f} |"
            )
        whole = r.theirs.ended / r.ours.ended
        lines.append(
            f"| {r.preset} | theirs / ours | {r.theirs.first_batch / r.ours.first_batch:.2f} "
            f"| {r.theirs.loaded / r.ours.loaded:.2f} | {whole:.2f} | {whole:.2f} "
            f"| {r.theirs.cpu_seconds / r.ours.cpu_seconds:.2f} | |"
        )
    lines += [
        "",
        "| preset | table | rows of ours | rows of theirs | least cosine |",
        "|---|---|---|---|---|",
    ]
    for r in results:
        for a in r.agreements:
            lines.append(f"| {r.preset} | {a.table} | {a.ours} | {a.theirs} | {a.cosine:.6f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="One decode for all networks against the ways of others.")
    parser.add_argument("--videos", type=int, default=5, help="trailers to render (default: 5)")
    parser.add_argument("--seconds", type=float, default=100, help="their length (default: 100)")
    parser.add_argument("--preset", action="append", choices=PRESETS, help="repeatable (default: both)")
    parser.add_argument("--only", nargs="+", metavar="EXPERT", help="only these experts of the preset")
    chosen = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="marquee-peers-") as folder:
        videos = Path(folder) / "videos"
        render(videos, videos=chosen.videos, seconds=chosen.seconds)
        results = [
            compare(preset, chosen.only, videos, Path(folder) / preset) for preset in chosen.preset or PRESETS
        ]
    print(
        f"{chosen.videos} trailers of {chosen.seconds:g} s at 640x360, {usable_cores()} cores of "
        f"{_processor()}, load average {load:.1f} before and {os.getloadavg()[0]:.1f} after\n"
    )
    print(table(results))


def _processor() -> str:
    """Its name, where Linux tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "an unknown processor"
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "a processor"
    )


if __name__ == "__main__":
    main()
