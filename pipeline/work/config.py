"""What a run is asked for, and what follows from it: experts, weights, fingerprints, engine settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extract.engine.engine import EngineSettings
from extract.errors import UsageError
from extract.selection import Selection, select
from extract.tables import Dtype
from extract.types import Precision
from extract.weights.files import DownloadProgress
from pipeline.storage.location import Location
from pipeline.store.layout import Target


@dataclass(frozen=True)
class Cluster:
    """Where shards are worked on: in this process unless one of the three says otherwise.

    Attributes:
        workers: processes on this machine, each with its share of the cores; 0: this process.
        gpus: ``"all"`` or numbers (``"0,1"``): one process for each GPU of this machine.
        scheduler: address of a running Dask scheduler, such as ``tcp://host:8786``.
        worker_lifetime_seconds: a worker that is older than this starts anew between videos.
        worker_memory_bytes: so does one that has grown beyond this, with all its processes.

    Raises UsageError for more than one of the three, or for numbers that make no sense.
    """

    workers: int = 0
    gpus: str | None = None
    scheduler: str | None = None
    worker_lifetime_seconds: float | None = None
    worker_memory_bytes: int | None = None

    def __post_init__(self) -> None:
        chosen = [
            flag
            for flag, given in (
                ("--workers", self.workers),
                ("--gpus", self.gpus),
                ("--scheduler", self.scheduler),
            )
            if given
        ]
        if len(chosen) > 1:
            raise UsageError(f"{' and '.join(chosen)} exclude each other: give one of them")
        if self.workers < 0:
            raise UsageError(f"--workers is {self.workers}; 0 (this process) or more is needed")
        for name, limit in (
            ("--worker-lifetime", self.worker_lifetime_seconds),
            ("--worker-memory", self.worker_memory_bytes),
        ):
            if limit is not None and limit <= 0:
                raise UsageError(f"{name} is {limit:g}; a positive number is needed")
            if limit is not None and not chosen:
                raise UsageError(f"{name} is for workers: give --workers, --gpus or --scheduler too")

    @property
    def in_process(self) -> bool:
        return not (self.workers or self.gpus or self.scheduler)


@dataclass(frozen=True)
class RunConfig:
    """What to extract, from where, to where. ``experts`` are names, ``options`` by expert."""

    videos: Location
    out: Location
    experts: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    weights: Path | None = None
    download: bool = True
    random_seed: int | None = None
    device: str = "auto"
    precision: Precision = "float32"
    dtype: Dtype = "float16"
    shard_size: int = 64
    retry_failed: bool = False
    batch_size: int | None = None
    decoders: int | None = None
    checkpoint_seconds: float = 300.0
    cluster: Cluster = field(default_factory=Cluster)


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The cores that this process may run on; a container's limit (control groups, version 2) counts."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
        return max(1, min(cores, int(allowed) // int(period)))
    except (OSError, ValueError):  # no such file, or "max"
        return cores


def engine_settings(config: RunConfig, device: str, *, cores: int | None = None) -> EngineSettings:
    """A decoder for each core up to 16; models on the CPU take batches of 16, on a GPU of 64."""
    cores = cores or usable_cores()
    return EngineSettings(
        decoders=config.decoders or min(cores, 16),
        batch_size=config.batch_size or (16 if device == "cpu" else 64),
        host_threads=cores,
    )


def select_for(config: RunConfig, download_progress: DownloadProgress | None = None) -> Selection:
    """The experts, weights and fingerprints of a run."""
    return select(
        config.experts,
        options=config.options,
        weights=config.weights,
        download=config.download,
        download_progress=download_progress,
        device=config.device,
        precision=config.precision,
        dtype=config.dtype,
        random_seed=config.random_seed,
    )


def make_targets(selection: Selection) -> list[Target]:
    """The rows that a selection wants, upstream first."""
    targets = []
    for name, expert in selection.experts.items():
        files = selection.weights.get(name, {})
        notes = {
            "weights": {role: {"file": w.path.name, "published": w.published} for role, w in files.items()},
            "random_weights": selection.random_seed if expert.weights() else None,
        }
        targets.append(
            Target(
                expert=name,
                fingerprint=selection.fingerprints[name],
                tables=tuple(expert.tables()),
                upstream=expert.upstream,
                made_of=selection.described[name],
                notes=notes,
            )
        )
    return targets
