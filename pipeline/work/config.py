"""What a run is asked for, checked, and what follows from it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from extract.errors import UsageError
from extract.options import Checked, Form, GpuNames, Positive, Range, Seconds
from extract.selection import ExtractConfig, Selection
from pipeline.device_kind import device_kind
from pipeline.storage.location import Location, location
from pipeline.store.layout import Target

Address = Annotated[
    str, Form(r"\w+://\S+|[^\s/]+:\d+", "an address such as tls://HOST:PORT or tcp://HOST:PORT")
]


@dataclass(frozen=True)
class Cluster(Checked):
    """Where shards are worked on: in this process unless one of the three says otherwise.

    Attributes:
        workers: processes on this machine, each with its share of the cores; 0: this process.
        gpus: ``"all"``, or numbers and identifiers (``"0,2-3"``, ``"MIG-..."``): one process for each GPU, or
            instance of one, of this machine (:func:`pipeline.gpus.chosen_gpus`).
        scheduler: address of a running Dask scheduler, such as ``tls://host:8786``.
        certificates: folder with those of a tls scheduler (``python -m extract cluster-certificates``);
            None: what Dask's own configuration names.
        worker_lifetime_seconds: a worker that is older than this restarts between videos.
        worker_memory_bytes: so does one that has grown beyond this, with all its processes.

    Raises UsageError for more than one of the three, certificates that are for nothing, or values that are
    not allowed.

    Example:
        >>> import pipeline
        >>> on_all_gpus = pipeline.Cluster(gpus="all")
        >>> pipeline.Cluster(workers=4, worker_memory_bytes=8 * 2**30).in_process
        False
    """

    workers: Annotated[int, Range(at_least=0)] = 0
    gpus: GpuNames | None = None
    scheduler: Address | None = None
    certificates: Path | None = None
    worker_lifetime_seconds: Seconds | None = None
    worker_memory_bytes: Positive | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        chosen = [self.named(name) for name in ("workers", "gpus", "scheduler") if getattr(self, name)]
        if len(chosen) > 1:
            raise UsageError(f"{' and '.join(chosen)} cannot be combined: give only one")
        if self.certificates is not None and not (self.scheduler or "").startswith("tls://"):
            raise UsageError(
                "--certificates is for a scheduler with TLS: give --scheduler tls://HOST:PORT too"
            )
        for name in ("worker_lifetime_seconds", "worker_memory_bytes"):
            if getattr(self, name) is not None and not chosen:
                raise UsageError(
                    f"{self.named(name)} is for workers: give --workers, --gpus or --scheduler too"
                )

    @classmethod
    def named(cls, field: str) -> str:
        """By the flag of the command line."""
        return f"--{field.removesuffix('_seconds').removesuffix('_bytes').replace('_', '-')}"

    @property
    def in_process(self) -> bool:
        return not (self.workers or self.gpus or self.scheduler)

    @property
    def is_open(self) -> bool:
        """Whether whoever reaches the scheduler over a network can run code on it, and on the workers."""
        if self.scheduler is None or self.scheduler.startswith(("tls://", "wss://", "inproc://")):
            return False
        host = urlsplit(self.scheduler if "://" in self.scheduler else f"//{self.scheduler}").hostname or ""
        try:
            return not ip_address(host).is_loopback
        except ValueError:  # a name
            return host != "localhost"


@dataclass(frozen=True, kw_only=True)
class RunConfig(ExtractConfig):
    """What to extract, from where, to where; checks itself.

    Attributes:
        videos: folder of videos, or one video.
        out: the store.
        shard_size: videos in a new shard.
        retry_failed: try again what failed before.
        new_root: the store's videos are in this folder now; ids stay.
        replace_changed: extract again, in place of their old rows, inputs that have changed.
        batch_size: of the models; None: 16 on the CPU, 64 on a GPU.
        decoders: processes; None: one for each core, up to 16.
        queue_memory_bytes: the most that items between decoders and models take in each process; None: an
            eighth of its share of the memory.
        checkpoint_seconds: what is finished of a shard is written so often.
        cluster: where shards are worked on.
        stored_only: of the experts that read tables, and no file is looked at: the videos are those of the
            store whose upstream rows are there.

    Raises UsageError for values that are not allowed, or that do not go together.

    Example:
        >>> import pipeline
        >>> config = pipeline.RunConfig(videos="videos", out="features", experts=("scenes",), device="cpu")
        >>> config.shard_size, config.checkpoint_seconds, config.cluster.in_process
        (64, 300.0, True)
    """

    videos: Location
    out: Location
    shard_size: Positive = 64
    retry_failed: bool = False
    new_root: bool = False
    replace_changed: bool = False
    batch_size: Positive | None = None
    decoders: Positive | None = None
    queue_memory_bytes: Positive | None = None
    checkpoint_seconds: Seconds = 300.0
    cluster: Cluster = field(default_factory=Cluster)
    stored_only: bool = False

    elsewhere: ClassVar[tuple[str, ...]] = ("videos", "out")

    def __post_init__(self) -> None:
        for name in self.elsewhere:
            object.__setattr__(self, name, location(getattr(self, name), self.named(name)))
        super().__post_init__()
        if self.cluster.gpus and self.device not in ("auto", "cuda"):
            raise UsageError(
                f"--device {self.device} and --gpus cannot be combined: a worker of --gpus uses the GPU "
                "assigned to it; leave one of them out"
            )

    @classmethod
    def named(cls, field: str) -> str:
        """By the flag of the command line, where there is one."""
        if field in ("checkpoint_seconds", "cluster", "stored_only"):
            return field
        return super().named(field.removesuffix("_bytes"))


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The cores that this process may run on; a container's limit (control groups, version 2) counts."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
        return max(1, min(cores, int(allowed) // int(period)))
    except (OSError, ValueError):  # no such file, or "max"
        return cores


def usable_memory(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Bytes of memory that this machine has; a container's limit (control groups, version 2) counts."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(there, int(limit.read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        return there


def make_targets(selection: Selection) -> list[Target]:
    """The rows that a selection wants, upstream first."""
    targets = []
    for name, expert in selection.experts.items():
        files = selection.weights.get(name, {})
        notes = {
            "weights": {role: {"file": w.path.name, "published": w.published} for role, w in files.items()},
            "random_weights": selection.random_seed if expert.weights() else None,
            "devices": [device_kind(selection.device if expert.on_device else "cpu")],
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
