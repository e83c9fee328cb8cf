"""The trainer's loader with a consumer that does nothing, beside reading the same files raw, in one process.

One part of :mod:`bench.loader`. The passes take turns, so that what else the machine does meets all of them;
of each the fastest is reported. Files are read from the operating system's cache.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from train.loading.features import FeatureSet
from train.loading.normalise import Normalised, Normaliser
from train.loading.stream import Loader, Stream
from train.loading.vectors import read_rows

ROUNDS = 3
HEADER = "| pass | samples/s | of raw reading, in a row |\n|---|---|---|"


def measure(folder: Path, *, batch_size: int = 32) -> list[str]:
    """Rows of a table. The raw reading is ``pq.read_table`` of every part, with Arrow's own threads off."""
    features = FeatureSet.open(folder)
    parts = [Path(str(path)) for table in features.tables.values() for path in table.paths]
    loader = Loader(features, features.ids, stream=Stream(batch_size), shuffle=True)
    began = time.perf_counter()
    normaliser = Normaliser.fit(loader)
    fit_seconds = time.perf_counter() - began  # once: what it finds is kept in the user's cache
    cores = os.cpu_count() or 1

    def raw(threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(lambda path: pq.read_table(path, use_threads=False).nbytes, parts):
                pass

    passes: dict[str, Callable[[], None]] = {
        "`pq.read_table`, one part after the other": lambda: raw(1),
        f"`pq.read_table`, {cores} parts at a time": lambda: raw(cores),
        "loader": lambda: _drain(loader),
        "loader, normalised as in training": lambda: _drain(Normalised(loader, normaliser)),
    }
    rounds = [{name: _seconds(run) for name, run in passes.items()} for _ in range(ROUNDS)]
    seconds = {name: min(found[name] for found in rounds) for name in passes}
    seconds["fit of the normalisation, timed once, first"] = fit_seconds
    first = next(iter(seconds.values()))
    return [
        f"| {name} | {len(features.ids) / spent:.0f} | {first / spent:.2f} |"
        for name, spent in seconds.items()
    ]


def _drain(batches: Iterable[Any]) -> None:
    for _ in batches:
        pass


def _seconds(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def compare_parts(folder: Path) -> str:
    """MB per second of processor time for the vectors of a store's parts: Arrow, and the trainer's reader."""
    features = FeatureSet.open(folder)
    seconds = {"Arrow": 0.0, "train.loading.pages": 0.0}
    size = 0
    for table in features.tables.values():
        for path, rows in zip(table.paths[:4], table.rows_of_parts[:4].tolist(), strict=True):
            size += rows * table.dim * table.dtype.itemsize
            began = time.process_time()
            pq.ParquetFile(path).read(columns=["embedding", "start_seconds"], use_threads=False)
            between = time.process_time()
            read_rows(path, np.arange(rows), of=rows, dim=table.dim, dtype=table.dtype)
            seconds["Arrow"] += between - began
            seconds["train.loading.pages"] += time.process_time() - between
    return ", ".join(f"{name} {size / 1e6 / spent:.0f} MB/s" for name, spent in seconds.items())
