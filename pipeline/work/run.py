"""A whole folder of videos into a store, from where the last run stopped."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from extract.errors import StoreError
from extract.selection import Selection, select
from pipeline.about.readme import write_readme
from pipeline.precision import with_precision
from pipeline.storage.location import Location, is_remote
from pipeline.storage.scan import Scan, scan
from pipeline.storage.versions import installed
from pipeline.store.attempts import forget_all
from pipeline.store.coverage import Counts, write_derived
from pipeline.store.layout import Store, Target, open_store
from pipeline.store.lock import check_token, writing
from pipeline.store.removal import finish_removal
from pipeline.store.todo import todo_by_shard
from pipeline.store.videos import Shard, read_shards
from pipeline.work.cluster import check_cluster, cores_of_a_worker, dask_workers
from pipeline.work.config import RunConfig, make_targets
from pipeline.work.driver import InProcess, Workers, drive
from pipeline.work.host import Host, HostSetup
from pipeline.work.inputs import Comparison, as_stored, compare
from pipeline.work.plan import Plan, plan
from pipeline.work.progress import RunProgress

ROUNDS = 3  # one, unless shards turn out incomplete
VERSIONED = (
    "torch", "numpy", "av", "soxr", "pyarrow", "transformers", "rapidocr", "onnxruntime", "distributed"
)  # fmt: skip


@dataclass(frozen=True)
class RunReport:
    """What is in the store after a run, for the experts of the run.

    Attributes:
        store: goes wherever a store does.
        videos: inputs of the store.
        computed: those that something was computed of, now.
        ignored: files in the videos folder that are no inputs.
        states: expert -> how many videos are ``ok``, ``absent`` or ``failed``.
        rows: expert -> rows of all its tables.
        interrupted: a signal ended the run before all was done.
        replaced: videos whose files have changed, so that they were extracted again, and what tells.

    Example:
        >>> import pipeline
        >>> options = {"scenes": {"detector": "content"}}
        >>> report = pipeline.run("videos", "features", experts=["scenes"], options=options)
        >>> dict(report.states["scenes"]), report.exit_status
        ({'ok': 24}, 0)
    """

    store: Store
    videos: int
    computed: int
    ignored: int
    states: Mapping[str, Counter[str]]
    rows: Mapping[str, int]
    interrupted: bool = False
    replaced: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        return sum(states["failed"] for states in self.states.values())

    @property
    def exit_status(self) -> int:
        """0 if nothing failed, 3 if failures are recorded, 130 if a signal ended the run."""
        return 130 if self.interrupted else 3 if self.failed else 0


def run_config(config: RunConfig, progress: RunProgress | None = None) -> RunReport:
    """:func:`pipeline.run` by a config: everything that is asked for and not validly in the store yet.

    Wrong arguments, missing weights and packages, a folder without videos or of another store, and changed
    files are found before anything is decoded or written. A video that fails is recorded and the run goes on.
    SIGINT and SIGTERM (in the main thread) write what is finished and end the run, a second one at once.

    Args:
        config: what to extract, from where, to where.
        progress: written during the run, to be read from another thread.

    Raises:
        UsageError, MissingDependency, WeightsError: what was asked for cannot be done, or the user has
            to say that it is meant (``new_root``, ``replace_changed``).
        StoreError: the store is in use, damaged, or the disk refuses.
        ClusterError: the workers cannot be reached.

    Example:
        >>> import pipeline
        >>> options = {"scenes": {"detector": "content"}}
        >>> config = pipeline.RunConfig(
        ...     videos="videos", out="features", experts=("scenes",), options=options
        ... )
        >>> pipeline.run_config(config).videos
        24
    """
    progress = progress or RunProgress()
    check_cluster(config.cluster)
    config, told = with_precision(config)
    # Before gigabytes are downloaded for a folder that was mistyped.
    found = None if config.stored_only else scan(config.videos, out=config.out).checked()
    selection = select(config, progress.show_download)
    if config.cluster.in_process:
        selection.check_decoder()
    progress.stage = "planning"
    store = open_store(config.out, create=not config.stored_only)
    with writing(store, command=shlex.join(sys.argv)) as (held, token), _stop_on_signals(progress):
        finish_removal(held, read_shards(held))
        found, compared = _compared(found, held, config)
        targets = make_targets(selection)
        record = _Record(held, targets, config, compared)
        record.write()
        compared.apply()
        planned = plan(found, held, shard_size=config.shard_size)
        progress.warnings = (*told, *planned.warnings)
        progress.total = sum(len(shard.videos) for shard in planned.shards)
        setup = HostSetup(
            config=replace(config, out=_everywhere(config.out)),
            root=_everywhere(found.root),
            fingerprints=selection.fingerprints,
            token=token,
            cores=cores_of_a_worker(config.cluster),
        )
        shards = planned.shards
        for _ in range(ROUNDS):
            _extract(shards, setup, selection, progress, held)
            progress.stage = "finishing"
            current = _current(held, targets, token)
            ignored = None if config.stored_only else found.ignored
            counts = write_derived(held, planned.shards, current, ignored)
            shards = () if progress.stopping else _incomplete(config, held, planned, targets, counts)
            if not shards:
                break
        record.write(finished=not progress.stopping and not shards, progress=progress)
        write_readme(held, current, counts.rows, progress.total)
    return RunReport(
        store=store,
        videos=progress.total,
        computed=progress.done,
        ignored=len(found.ignored),
        states={target.expert: counts.states[target.expert] for target in targets},
        rows={target.expert: counts.rows[target.expert] for target in targets},
        interrupted=progress.stopping,
        replaced=compared.reasons,
    )


def _compared(found: Scan | None, held: Store, config: RunConfig) -> tuple[Scan, Comparison]:
    """The inputs and what is new of them. Raises UsageError for what the user has to say is meant."""
    if found is None:
        return as_stored(held)
    found = found.without(held.removed())
    compared = compare(found, held, read_shards(held))
    compared.refuse(new_root=config.new_root, replace_changed=config.replace_changed)
    return found, compared


def _current(store: Store, targets: Sequence[Target], token: str) -> list[Target]:
    """What ``run.json`` names, this run's targets among it. Raises StoreError where the store is gone."""
    check_token(store, token)
    current = store.targets()
    if not {target.expert for target in targets} <= {target.expert for target in current}:
        raise StoreError(
            f"{str(store.run_path)!r} was removed or replaced during the run: run the same command again"
        )
    return current


def _incomplete(
    config: RunConfig, store: Store, planned: Plan, targets: Sequence[Target], counts: Counts
) -> tuple[Shard, ...]:
    """Shards that a worker which was given up for dead, but lives, has written over."""
    videos = sum(len(shard.videos) for shard in planned.shards)
    if config.stored_only or all(counts.states[target.expert].total() == videos for target in targets):
        return ()
    return tuple(shard for shard, work in todo_by_shard(store, planned.shards, targets) if work)


def _extract(
    shards: Sequence[Shard], setup: HostSetup, selection: Selection, progress: RunProgress, held: Store
) -> None:
    """Have all shards worked on, here or by workers that were asked for."""
    forget_all(held)
    with _workers(setup, selection, progress, held) as workers:
        progress.stage = "extracting"
        drive(shards, workers, progress)


@contextmanager
def _workers(setup: HostSetup, selection: Selection, progress: RunProgress, held: Store) -> Iterator[Workers]:
    cluster = setup.config.cluster
    if not cluster.in_process:
        progress.stage = "starting workers"
        if cluster.gpus:  # a worker whose GPU is gone must not go on without
            setup = replace(setup, config=replace(setup.config, device="cuda"))
        with dask_workers(setup, progress) as there:
            yield there
        return
    # A process in this one's place takes the same device, or none.
    setup = replace(setup, config=replace(setup.config, device=selection.device))
    workers = InProcess(Host(setup, selection, held.check_held), setup)
    try:
        yield workers
    except KeyboardInterrupt:  # the second signal: whoever asks twice does not wait
        workers.stop()
        raise
    except BaseException:
        workers.close()
        raise
    workers.close()
    progress.show(workers.status())


def _everywhere(place: Location) -> Location:
    """The same place for a worker with another working directory."""
    return place if is_remote(place) else place.absolute()


class _Record:
    """``run.json``: what was asked, with which versions, when."""

    def __init__(self, store: Store, targets: list[Target], config: RunConfig, compared: Comparison) -> None:
        self._store, self._targets, self._compared = store, targets, compared
        self._options = {
            "videos": str(config.videos).encode("utf-8", "backslashreplace").decode(),
            "experts": list(config.experts),
            "options": {name: dict(options) for name, options in config.options.items()},
            "weights": None if config.weights is None else os.path.abspath(config.weights),
            "precision": config.precision,
            "dtype": config.dtype,
            "decode": config.decode,
            "shard_size": config.shard_size,
            "random_weights": config.random_seed,
            "cluster": {
                name: value for name, value in asdict(config.cluster).items() if name != "certificates"
            },
        }
        self._started = _now()

    def write(self, *, finished: bool = False, progress: RunProgress | None = None) -> None:
        self._store.record_run(
            self._targets,
            options=self._options,
            versions={"python": sys.version.split()[0], **installed(VERSIONED)},
            started=self._started,
            finished=_now() if finished else None,
            measured=None if progress is None else progress.to_json(),
            root=self._compared.root,
            replaced=self._compared.reasons,
        )


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
