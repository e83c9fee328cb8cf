"""Small copies of a folder of videos, on the same time line: ``python -m extract prepare``."""

from __future__ import annotations

import errno
import json
import os
import shlex
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from extract.errors import MediaError, StoreError, UsageError
from extract.fingerprint import canonical_json
from extract.media.probe import probe
from extract.options import Checked, Positive
from pipeline.copies.check import TAG, check_copy, tag_of
from pipeline.copies.ffmpeg import (
    RECIPES,
    EncodeError,
    Encoder,
    Recipe,
    find_ffmpeg,
)
from pipeline.copies.recipe_name import RecipeName
from pipeline.settings import checked_folder
from pipeline.storage.atomic import atomic, refusal
from pipeline.storage.inside import remove_files, target_of
from pipeline.storage.names import display, new_ids
from pipeline.storage.scan import Input, scan
from pipeline.store.layout import Store
from pipeline.store.lock import writing

FORMAT = 1
RECORD, FAILURES = "prepare.json", "failures.parquet"
SUFFIX = ".mkv"
FAILURES_SCHEMA = pa.schema(
    [
        ("video_id", pa.string()),
        ("path", pa.string()),
        ("stage", pa.string()),
        ("error_type", pa.string()),
        ("message", pa.string()),
        ("log", pa.string()),
    ]
)
# What keeps one copy from being written, but not the next one.
_ONE_FILE = {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}


@dataclass(frozen=True)
class PrepareConfig(Checked):
    """Which videos to copy, where to, how, and how many at a time (None: half the cores); checks itself."""

    videos: Path
    out: Path
    recipe: RecipeName = "paper"
    jobs: Positive | None = None

    @classmethod
    def named(cls, field: str) -> str:
        """By the flag of the command line."""
        return f"--{field}"


@dataclass
class PrepareProgress:
    """How far it is; :func:`prepare` writes it, whoever shows it reads it."""

    total: int = 0
    already: int = 0
    done: int = 0
    failed: int = 0
    running: dict[str, float] = field(default_factory=dict)  # video_id: seconds copied so far
    seconds: float = 0.0  # copied by this run
    started: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class FailedCopy:
    """A video without a copy, and the last lines that FFmpeg wrote, if it came to that."""

    video_id: str
    path: str
    stage: str
    error_type: str
    message: str
    log: str = ""


@dataclass(frozen=True)
class PrepareReport:
    """What is in the folder now; ``made`` are the copies of this run."""

    out: Path
    made: int
    already: int
    ignored: int
    failures: tuple[FailedCopy, ...]

    @property
    def exit_status(self) -> int:
        """0 if every video has its copy, 3 if failures are recorded."""
        return 3 if self.failures else 0


@dataclass(frozen=True)
class _CopyJob:
    video_id: str
    input: Input
    source: Path
    target: Path


def prepare(config: PrepareConfig, progress: PrepareProgress | None = None) -> PrepareReport:
    """Make the copies that are missing; run again to resume.

    A copy is written beside its place, compared with its source, and only then gets its name
    (``video_id`` + ``.mkv``), so what has the name is whole. One that fails is recorded in
    ``OUT/failures.parquet``, tried again by the next run, and costs this file only.

    Raises:
        MissingDependency: no FFmpeg that can do it, or no ffmpeg-python.
        UsageError: ``videos`` or ``out`` cannot be used, or ``out`` was made by another recipe.
        StoreError: another run writes there, or the disk refuses.
    """
    progress = progress or PrepareProgress()
    program = find_ffmpeg()
    videos = checked_folder(config.videos, "--videos")
    _refuse_overlap(videos, config.out)
    record = _read_record(config.out, config.recipe)
    found = scan(videos, out=config.out).checked()
    assert isinstance(found.root, Path)  # as is what was scanned
    _make_folder(config.out)
    with writing(Store(config.out), command=shlex.join(sys.argv)):
        names = _names(config.out, found.inputs, record, config.recipe)
        jobs = [
            _CopyJob(
                names[entry.raw],
                entry,
                found.root / os.fsdecode(entry.raw),
                config.out / f"{names[entry.raw]}{SUFFIX}",
            )
            for entry in found.inputs
        ]
        _remove_leftovers(config.out, jobs)
        progress.total = len(jobs)
        failures = tuple(_copy_all(program, config, jobs, progress))
        _write_failures(config.out, failures)
    return PrepareReport(
        out=config.out,
        made=progress.done - len(failures),
        already=progress.already,
        ignored=len(found.ignored),
        failures=failures,
    )


def _remove_leftovers(out: Path, jobs: Iterable[_CopyJob]) -> None:
    """Copies that killed runs left half-written; only this run writes here: it has the lock."""
    ours: dict[Path, set[str]] = defaultdict(set)
    for job in jobs:
        ours[job.target.parent].add(job.target.name[:40])
    for folder, names in ours.items():
        remove_files(out, folder, partial(_is_of, names))


def _is_of(targets: set[str], name: str) -> bool:
    return target_of(name) in targets


def _copy_all(
    program: str, config: PrepareConfig, jobs: list[_CopyJob], progress: PrepareProgress
) -> Iterator[FailedCopy]:
    """Several at a time; whatever ends this early ends the encoders too."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = config.jobs or max(1, cores // 2)
    encoder = Encoder(program, threads=max(1, cores // workers))
    copier = _Copier(config.out, encoder, RECIPES[config.recipe], progress)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prepare")
    try:
        for failed in _in_parallel(pool, copier, jobs, ahead=2 * workers):
            progress.failed += 1
            yield failed
    finally:
        encoder.close()
        pool.shutdown(cancel_futures=True)


def _in_parallel(
    pool: ThreadPoolExecutor, copier: _Copier, jobs: list[_CopyJob], *, ahead: int
) -> Iterator[FailedCopy]:
    waiting = iter(jobs)
    running: set[Future[FailedCopy | None]] = set()
    while True:
        running |= {pool.submit(copier.copy, job) for job in islice(waiting, ahead - len(running))}
        if not running:
            return
        finished, running = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            failed = future.result()
            if failed is not None:
                yield failed


class _Copier:
    """Makes one copy after another; called from several threads."""

    def __init__(self, out: Path, encoder: Encoder, recipe: Recipe, progress: PrepareProgress) -> None:
        self._out = out
        self._encoder = encoder
        self._recipe = recipe
        self._progress = progress
        self._lock = threading.Lock()

    def copy(self, job: _CopyJob) -> FailedCopy | None:
        """None if the copy is there. Raises StoreError where no copy could be written."""
        made = False
        try:
            if job.input.problem is not None:
                return _failed(job, "scan", MediaError(job.input.problem))
            tag = self._tag(job)
            if os.path.lexists(job.target):
                there = tag_of(job.target)
                if there == tag:
                    made = True
                    return None
                if there is None:
                    return _failed(job, "write", _foreign(job.target))
            return self._make(job, tag)
        finally:
            with self._lock:
                self._progress.already += made
                self._progress.done += not made

    def _make(self, job: _CopyJob, tag: str) -> FailedCopy | None:
        stage = "probe"
        try:
            media = probe(job.source)
            with atomic(job.target, below=self._out) as temporary:
                stage = "encode"
                self._encoder.encode(
                    job.source,
                    temporary,
                    media=media,
                    recipe=self._recipe,
                    tag=f"{TAG}={tag}",
                    on_seconds=lambda seconds: self._report(job, seconds),
                )
                stage = "check"
                check_copy(temporary, job.source, media, self._recipe)
        except EncodeError as error:
            if os.strerror(errno.ENOSPC) in error.log:
                raise StoreError(refusal(job.target, OSError(errno.ENOSPC, ""))) from error
            return _failed(job, stage, error, error.log)
        except MediaError as error:
            return _failed(job, stage, error)
        except StoreError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in _ONE_FILE:
                return _failed(job, "write", error)
            raise
        except Exception as error:  # whatever a library makes of a damaged file: it costs this file
            return _failed(job, stage, error)
        finally:
            with self._lock:
                self._progress.running.pop(job.video_id, None)
        return None

    def _report(self, job: _CopyJob, seconds: float) -> None:
        with self._lock:
            self._progress.seconds += seconds - self._progress.running.get(job.video_id, seconds)
            self._progress.running[job.video_id] = seconds

    def _tag(self, job: _CopyJob) -> str:
        """What makes a copy this one: the same tag says that it need not be made again."""
        settings = self._recipe.settings()
        return canonical_json({"format": FORMAT, "source_bytes": job.input.size_bytes, **settings})


def _failed(job: _CopyJob, stage: str, error: Exception, log: str = "") -> FailedCopy:
    return FailedCopy(job.video_id, display(job.input.raw), stage, type(error).__name__, str(error), log)


def _foreign(target: Path) -> StoreError:
    return StoreError(
        f"{str(target)!r} already exists and is not a copy that prepare made: it is left unchanged; move it "
        "away, or give another --out"
    )


def _refuse_overlap(videos: Path, out: Path) -> None:
    """Copies among the videos would be taken for videos of their own by every later run."""
    inside, outside = out.resolve(), videos.resolve()
    if inside.is_relative_to(outside):
        raise UsageError(f"--out {str(out)!r} is inside --videos {str(videos)!r}: give a folder elsewhere")
    if outside.is_relative_to(inside):
        raise UsageError(f"--videos {str(videos)!r} is inside --out {str(out)!r}: give a folder elsewhere")


def _read_record(out: Path, recipe: RecipeName) -> Mapping[str, Any]:
    """``prepare.json``; empty for a new folder. Raises UsageError where copies must not go."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {str(out)!r} is a file: give a new or empty folder")
    try:
        record: dict[str, Any] = json.loads((out / RECORD).read_text("utf-8"))
        names, made_by = record["names"], record["recipe"]
    except FileNotFoundError:
        others = [name for name in sorted(os.listdir(out)) if name[0] != "."] if out.exists() else []
        if others:
            raise UsageError(
                f"--out {str(out)!r} contains other files ({others[0]!r}, {len(others)} in all) and no "
                f"{RECORD}: give a new or empty folder"
            ) from None
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{str(out / RECORD)!r} cannot be read ({error}): give a new --out") from error
    if made_by != recipe:
        raise UsageError(
            f"the copies in --out {str(out)!r} are of the recipe {made_by!r}, not {recipe!r}: give another "
            f"--out, or --recipe {made_by}"
        )
    return dict(names)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(refusal(out, error)) from error


def _names(
    out: Path, inputs: tuple[Input, ...], record: Mapping[str, str], recipe: RecipeName
) -> dict[bytes, str]:
    """The ``video_id`` of every input, which the copies' names are made of; kept on disk for good.

    So an id stays when another file comes that differs in its suffix only.
    """
    known = {os.fsencode(path): name for path, name in record.items()}
    new = new_ids((entry.raw for entry in inputs), known)
    if new or not record:
        everything = {os.fsdecode(raw): name for raw, name in sorted((known | new).items())}
        contents = {"format": FORMAT, "recipe": recipe, "names": everything}
        with atomic(out / RECORD, below=out) as temporary:
            temporary.write_text(json.dumps(contents, indent=1) + "\n", "utf-8")
    return known | new


def _write_failures(out: Path, failures: tuple[FailedCopy, ...]) -> None:
    rows = [vars(failed) for failed in sorted(failures, key=lambda failed: failed.video_id)]
    with atomic(out / FAILURES, below=out) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=FAILURES_SCHEMA), temporary, compression="zstd")
