"""What a whole folder would take, from a few of its videos."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from extract.errors import UsageError
from extract.scratch import Scratch
from pipeline.storage.scan import Input, scan
from pipeline.work.config import Cluster, RunConfig, usable_cores
from pipeline.work.progress import RunProgress
from pipeline.work.run import run_config

SAMPLE = 4  # videos; each stands for an equal part of the folder, ordered by size


@dataclass(frozen=True)
class FolderEstimate:
    """For all ``videos``, from ``sample`` of them, of which ``failed`` failed.

    ``seconds``: of one worker, without and with what its start took; ``seconds_of_workers``: of ``workers``
    on this machine, where the processor's ``cores`` are shared. ``store_bytes``: of the tables.
    ``memory_bytes``: of a worker with its decoders. ``busy``: share of the time that each stage worked.
    """

    videos: int
    sample: int
    failed: int
    seconds: tuple[float, float]
    workers: int
    seconds_of_workers: float
    cores: int
    store_bytes: int
    memory_bytes: int
    busy: Mapping[str, float]

    @property
    def bound_by(self) -> str:
        return max(self.busy, key=lambda stage: self.busy[stage], default="nothing")


def estimate(config: RunConfig, progress: RunProgress | None = None) -> FolderEstimate:
    """Extract a few videos into a folder that is removed again, by one worker on this machine.

    Raises UsageError for videos on object storage, and the errors of :func:`pipeline.work.run.run_config`.
    """
    if not isinstance(config.videos, Path):
        raise UsageError(f"--estimate reads videos of a local disk, not {config.videos}: copy a few of them")
    progress = progress or RunProgress()
    found = scan(config.videos, out=config.out).checked()
    chosen = evenly_by_size(found.inputs)
    with Scratch("estimate") as scratch:
        links = scratch.path / "videos"
        links.mkdir()
        for number, entry in enumerate(chosen):
            path = os.path.join(os.fsencode(str(found.root)), entry.raw)
            os.symlink(
                os.path.abspath(path), os.fsencode(links / f"{number}{Path(os.fsdecode(entry.raw)).suffix}")
            )
        out = scratch.path / "features"
        alone = replace(
            config, videos=links, out=out, cluster=Cluster(), new_root=False, replace_changed=False
        )
        before, started = _processor_seconds(), time.monotonic()
        report = run_config(alone, progress)
        wall, used = time.monotonic() - started, _processor_seconds() - before
        tables = [path for path in out.glob("*/*.parquet") if path.parent.name != "videos"]
        stored = sum(path.stat().st_size for path in tables)
    reading = progress.whole
    busy = {} if reading is None else dict(reading.busy_seconds)
    decoders = config.decoders or min(usable_cores(), 16)
    busy["decode"] = busy.get("decode", 0.0) / decoders
    cores, share = usable_cores(), len(found.inputs) / len(chosen)
    workers = config.cluster.workers or cores
    working = max(*busy.values(), used / cores) if busy else wall
    return FolderEstimate(
        videos=len(found.inputs),
        sample=len(chosen),
        failed=max((states["failed"] for states in report.states.values()), default=0),
        seconds=(min(working, wall) * share, wall * share),
        workers=workers,
        seconds_of_workers=max(wall / workers, used / cores) * share,
        cores=cores,
        store_bytes=round(stored * share),
        memory_bytes=_peak_bytes(min(decoders, len(chosen))),
        busy={stage: seconds / wall for stage, seconds in busy.items()},
    )


def evenly_by_size(inputs: Sequence[Input], count: int = SAMPLE) -> list[Input]:
    """The middle one of each of ``count`` equal parts, ordered by size; all where there are no more."""
    ordered = sorted(inputs, key=lambda entry: (entry.size_bytes or 0, entry.raw))
    if len(ordered) <= count:
        return ordered
    return [ordered[(2 * part + 1) * len(ordered) // (2 * count)] for part in range(count)]


def _processor_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


def _peak_bytes(decoders: int) -> int:
    """Of this process, and of as many children as its largest one."""
    own, child = (
        resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own + decoders * child
