"""Whole runs of the test experts, in this process or in one that can be killed, and what they leave."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench.processes import workers_of as workers_of
from extract.presets import Options
from pipeline import RunReport, read, run
from pipeline.storage.location import Location, read_bytes

ROOT = Path(__file__).parents[2]
TABLES = ("scenes", "trouble", "spectrogram")
SLOW: Options = {"scenes": {"detector": "content"}, "trouble": {"seconds": 0.05}}  # there is time to stop it


def go(videos: Location, out: Location, **changes: Any) -> RunReport:
    """A run in this process, with one decoder unless told otherwise: each costs its start."""
    values: dict[str, Any] = {
        "experts": ("trouble", "spectrogram"),
        "options": {"scenes": {"detector": "content"}},
        "shard_size": 3,
        "device": "cpu",
        "decoders": 1,
    }
    return run(videos, out, **(values | changes))


def resume(videos: Location, out: Location, **changes: Any) -> RunReport:
    """What the same command as that of :func:`start` does, in this process."""
    return go(videos, out, **({"options": SLOW} | changes))


def contents(out: Location) -> dict[str, Any]:
    """All rows of the store, in order; of the part files only what is current."""
    tables = {name: read(out, name).to_pydict() for name in (*TABLES, "videos")}
    for name in ("coverage", "failures"):
        tables[name] = pq.read_table(pa.BufferReader(read_bytes(out / f"{name}.parquet"))).to_pydict()
    return tables


def command(videos: Location, out: Location, *more: str) -> list[str]:
    settings = [f"{expert}.{key}={value}" for expert, its in SLOW.items() for key, value in its.items()]
    flags = [part for setting in settings for part in ("--set", setting)]
    return [
        sys.executable, "-m", "extract", "--videos", str(videos), "--out", str(out), "--shard-size", "3",
        "--experts", "trouble,spectrogram", "--device", "cpu", "--decoders", "1", *flags, *more,
    ]  # fmt: skip


def start(videos: Location, out: Location, *more: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(videos, out, *more),
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def in_order(table: dict[str, list[Any]]) -> list[tuple[Any, ...]]:
    """The rows of a table, whatever shards they came in."""
    keys = ("video_id", "row") if "row" in table else ("video_id",)
    rows = list(zip(*table.values(), strict=True))
    order = [list(table).index(key) for key in keys]
    return sorted(rows, key=lambda row: [row[i] for i in order])
