"""A whole folder of videos into a store, from where the last run stopped."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from extract.engine import Engine, EngineSettings
from extract.meter import Meter
from extract.selection import Precision, Selection, select
from extract.tables import Dtype
from pipeline.coverage import shard_outcomes, write_derived
from pipeline.lock import writing
from pipeline.plan import Plan, plan
from pipeline.scan import Scan, scan
from pipeline.shards import ShardWork
from pipeline.store import Store, Target, open_store

VERSIONED = ("torch", "numpy", "av", "soxr", "pyarrow", "transformers", "rapidocr", "onnxruntime")


@dataclass(frozen=True)
class RunConfig:
    """What to extract, from where, to where. ``experts`` are names, ``options`` by expert."""

    videos: Path
    out: Path
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


@dataclass
class RunProgress:
    """How far a run is; the run writes it, whoever shows it reads it."""

    stage: str = "planning"
    total: int = 0
    already: int = 0
    done: int = 0
    failed: int = 0
    warnings: tuple[str, ...] = ()
    expert_videos: Counter[str] = field(default_factory=Counter)
    meter: Meter | None = None
    started: float = field(default_factory=time.monotonic)
    stopping: bool = False


@dataclass(frozen=True)
class RunReport:
    """What is in the store after a run, for the experts of the run.

    ``states`` counts (video, expert) pairs by state for each expert; ``interrupted`` says that a
    signal ended the run before all was done.
    """

    store: Store
    videos: int
    computed: int
    ignored: int
    states: Mapping[str, Counter[str]]
    rows: Mapping[str, int]
    interrupted: bool = False

    @property
    def failed(self) -> int:
        return sum(states["failed"] for states in self.states.values())

    @property
    def exit_status(self) -> int:
        """0 if nothing failed, 3 if failures are recorded, 130 if a signal ended the run."""
        return 130 if self.interrupted else 3 if self.failed else 0


def engine_settings(config: RunConfig, device: str) -> EngineSettings:
    """A decoder for each core up to 16; models on the CPU take batches of 16, on a GPU of 64."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return EngineSettings(
        decoders=config.decoders or min(cores, 16),
        batch_size=config.batch_size or (16 if device == "cpu" else 64),
        host_threads=cores,
    )


def run_config(config: RunConfig, progress: RunProgress | None = None) -> RunReport:
    """Extract everything that is asked for and not validly in the store yet.

    Wrong arguments, missing weights and packages are found before anything is decoded or written.
    A video that fails is recorded and the run goes on. SIGINT and SIGTERM (in the main thread)
    write what is finished and end the run; a second one ends it at once.

    Raises:
        UsageError, MissingDependency, WeightsError: what was asked for cannot be done.
        StoreError: the store is in use, damaged, or the disk refuses.
    """
    progress = progress or RunProgress()
    selection = select_for(config)
    found = scan(config.videos, out=config.out)
    store = open_store(config.out, create=True)
    with writing(store, command=shlex.join(sys.argv)), _stop_on_signals(progress):
        planned = plan(found, store, shard_size=config.shard_size)
        progress.warnings = planned.warnings
        progress.total = sum(len(shard.videos) for shard in planned.shards)
        targets = make_targets(selection)
        record = _Record(store, targets, config)
        record.write()
        progress.stage = "extracting"
        computed = _extract(config, selection, store, found, planned, targets, progress)
        progress.stage = "finishing"
        write_derived(store, planned.shards, store.targets(), found.ignored)
        record.write(finished=not progress.stopping)
        states, rows = _count(store, planned, targets)
    return RunReport(
        store=store,
        videos=progress.total,
        computed=computed,
        ignored=len(found.ignored),
        states=states,
        rows=rows,
        interrupted=progress.stopping,
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


def select_for(config: RunConfig) -> Selection:
    """The experts, weights and fingerprints of a run."""
    return select(
        config.experts,
        options=config.options,
        weights=config.weights,
        download=config.download,
        device=config.device,
        precision=config.precision,
        dtype=config.dtype,
        random_seed=config.random_seed,
    )


def _extract(
    config: RunConfig,
    selection: Selection,
    store: Store,
    found: Scan,
    planned: Plan,
    targets: list[Target],
    progress: RunProgress,
) -> int:
    """Run what is to do; returns how many videos were worked on."""
    work = ShardWork(store, found.root, planned.shards, selection, targets, retry_failed=config.retry_failed)
    tasks = work.tasks(progress)
    first = next(tasks, None)
    if first is None:
        work.flush()
        return progress.done
    with Engine(selection, engine_settings(config, selection.device)) as engine:
        progress.meter = work.meter = engine.meter

        def all_tasks() -> Iterator[Any]:
            yield first
            yield from tasks

        for result in engine.run(all_tasks(), stop=lambda: progress.stopping):
            progress.done += 1
            failed = [name for name, outcome in result.outcomes.items() if outcome.state == "failed"]
            progress.failed += bool(failed)
            progress.expert_videos.update(result.outcomes.keys())
            work.take(result, checkpoint_seconds=config.checkpoint_seconds)
        work.flush()
    return progress.done


class _Record:
    """``run.json``: what was asked, with which versions, when."""

    def __init__(self, store: Store, targets: list[Target], config: RunConfig) -> None:
        self._store, self._targets = store, targets
        self._options = {
            "videos": str(config.videos).encode("utf-8", "backslashreplace").decode(),
            "experts": list(config.experts),
            "options": {name: dict(options) for name, options in config.options.items()},
            "precision": config.precision,
            "dtype": config.dtype,
            "shard_size": config.shard_size,
            "random_weights": config.random_seed,
        }
        self._started = _now()

    def write(self, *, finished: bool = False) -> None:
        self._store.record_run(
            self._targets,
            options=self._options,
            versions={"python": sys.version.split()[0], **_versions()},
            started=self._started,
            finished=_now() if finished else None,
        )


def _count(
    store: Store, planned: Plan, targets: list[Target]
) -> tuple[dict[str, Counter[str]], dict[str, int]]:
    states: dict[str, Counter[str]] = {target.expert: Counter() for target in targets}
    rows: Counter[str] = Counter()
    for shard in planned.shards:
        for outcome in shard_outcomes(store, shard, targets):
            states[outcome.expert][outcome.state] += 1
            rows[outcome.expert] += outcome.rows
    return states, dict(rows)


def _versions() -> dict[str, str]:
    found = {}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def _stop_on_signals(progress: RunProgress) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks the run to stop; the next one has its usual effect."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watched = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in watched}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(_number: int, _frame: object) -> None:
        progress.stopping = True
        restore()

    for number in watched:
        signal.signal(number, ask)
    try:
        yield
    finally:
        restore()
