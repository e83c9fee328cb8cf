"""What the command line prints about runs, stores, weights and this machine."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from extract.errors import MarqueeError, MissingDependency, UsageError, some
from extract.opencv import check as check_opencv
from extract.registry import expert_names, make_expert, with_upstream
from extract.selection import select
from extract.weights.files import MissingWeights, WeightFile, size_text
from extract.weights.locate import check, resolve
from pipeline.cli.download_display import show_downloads
from pipeline.settings import checked_folder
from pipeline.storage.location import Location
from pipeline.storage.names import clean
from pipeline.storage.scan import scan
from pipeline.storage.versions import installed
from pipeline.store.layout import open_store
from pipeline.store.lock import writing
from pipeline.store.removal import remove, take_back
from pipeline.store.status import status
from pipeline.store.todo import todo
from pipeline.store.verify import verify
from pipeline.store.videos import read_shards
from pipeline.work.cluster import check_cluster
from pipeline.work.config import RunConfig, make_targets
from pipeline.work.inputs import compare
from pipeline.work.progress import RunProgress
from pipeline.work.run import RunReport

PACKAGES = ("torch", "torchvision", "av", "numpy", "pyarrow", "onnxruntime", "transformers")


def print_run(report: RunReport, progress: RunProgress, console: Console) -> None:
    """The outcome of a run: states and rows for each expert, and where to look further."""
    table = _table("expert", "ok", "absent", "failed", "rows")
    for name, states in report.states.items():
        counts = [str(states[state]) for state in ("ok", "absent", "failed")]
        table.add_row(name, *counts, str(report.rows.get(name, 0)))
    console.print(table)
    for video_id, why in report.replaced.items():
        _line(console, f"changed, so extracted again: {clean(video_id)!r}: {why}")
    line = f"{report.videos} videos in {report.store.root}, {report.computed} worked on now"
    if report.ignored:
        line += f"; {report.ignored} other files ignored (ignored.parquet says why)"
    _line(console, line)
    reading = progress.whole
    if reading is not None:
        busy = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in reading.busy_seconds.items())
        _line(console, f"busy: {busy}")
        if reading.pictures:
            _line(console, f"decodes per video: {reading.pictures_decoded / reading.pictures:.2f}")
    if progress.deaths:
        _line(console, f"{progress.deaths} jobs lost their worker; their videos were run again")
    if report.interrupted:
        _line(console, "stopped by a signal; what was finished is written: run the same command to resume")
    elif report.failed:
        _line(
            console,
            f"{report.failed} failures are recorded in {report.store.root / 'failures.parquet'}; "
            "--retry-failed takes them up again",
        )


def print_plan(config: RunConfig, console: Console) -> None:
    """What a run would do; checks all that it would, downloads and writes nothing."""
    check_cluster(config.cluster)
    try:
        selection = select(replace(config, download=False))
    except MissingWeights as error:
        if not config.download:
            raise
        _print_missing_files(error, console)
        _line(console, "a run would first download these, as weights --fetch does; nothing was done")
        return
    targets = make_targets(selection)
    found = scan(config.videos, out=config.out).checked()
    counts: Counter[str] = Counter()
    known: set[bytes] = set()
    experts = {target.expert for target in targets}
    # Nothing is created; a folder that a run would refuse is refused.
    if not isinstance(config.out, Path) or os.path.lexists(config.out):
        store = open_store(config.out, create=True)
        found = found.without(store.removed())
        shards = read_shards(store)
        compared = compare(found, store, shards)
        compared.refuse(new_root=config.new_root, replace_changed=config.replace_changed)
        changed = compared.reasons
        present = {entry.raw: entry for entry in found.inputs}
        for shard in shards:
            known.update(video.raw for video in shard.videos if video.raw in present)
            work = todo(store, shard, targets, retry_failed=config.retry_failed)
            work |= {v.video_id: experts for v in shard.videos if v.video_id in changed}
            for needed in work.values():
                counts.update(needed)
    new = [entry for entry in found.inputs if entry.raw not in known]
    table = _table("expert", "videos to do", "fingerprint", "weights")
    for target in targets:
        files = ", ".join(w.path.name for w in selection.weights.get(target.expert, {}).values())
        table.add_row(target.expert, str(counts[target.expert] + len(new)), target.fingerprint, files or "-")
    console.print(table)
    _line(
        console,
        f"{len(found.inputs)} videos ({len(new)} new) in {config.videos}, "
        f"{len(found.ignored)} other files; device {selection.device}; nothing was done",
    )


def print_missing(error: MissingWeights, console: Console) -> None:
    """The table of files that are missing, and what needs none."""
    _print_missing_files(error, console)
    _line(console, "error: weights are missing; nothing was decoded. --preset offline needs none of them")


def _print_missing_files(error: MissingWeights, console: Console) -> None:
    table = _table("expert", "file", "where to get it", "where to put it", "why")
    for row in error.rows:
        table.add_row(row.expert, row.file.name, row.file.url, str(row.put), row.reason)
    console.print(table)


def print_weights(
    names: Iterable[str],
    options: Mapping[str, Mapping[str, Any]],
    folder: Path | None,
    *,
    fetch: bool,
    console: Console,
) -> bool:
    """One line for each file: where it is, or what is wrong. Returns whether all are there."""
    if folder is not None:
        checked_folder(folder, "--weights")
    experts = {name: make_expert(name, options.get(name)) for name in with_upstream(names)}
    files = {name: expert.weights() for name, expert in experts.items() if expert.weights()}
    if fetch:
        with show_downloads(console) as progress:
            resolve(files, folder, download=True, progress=progress)
    table = _table("expert", "file", "size", "licence", "state")
    complete = True
    for name, wanted in files.items():
        for file in wanted:
            state, good = _weight_state(file, folder)
            complete = complete and good
            table.add_row(name, file.name, size_text(file.size_bytes), file.licence, state)
    if not files:
        _line(console, f"{', '.join(experts)}: no files needed")
    else:
        console.print(table)
    return complete


def print_status(out: Location, console: Console) -> None:
    """Counts for each expert of a store."""
    found = status(open_store(out))
    table = _table("expert", "fingerprint", "ok", "absent", "failed", "missing", "rows", "MB", "old MB")
    for e in found.experts:
        sizes = (f"{e.bytes / 1e6:.1f}", f"{e.old_bytes / 1e6:.1f}")
        counts = (e.ok, e.absent, e.failed, e.missing, e.rows)
        table.add_row(e.expert, e.fingerprint, *map(str, counts), *sizes)
    console.print(table)
    for problem in found.problems:
        _line(console, f"problem: {problem}; python -m extract verify says what to do")
    _line(console, f"{found.videos} videos in {found.shards} shards; {_completeness(found.complete)}")
    if found.root is not None:
        _line(console, f"videos from {found.root}")


def print_removal(out: Location, names: list[str], *, undo: bool, console: Console) -> None:
    """Take videos out of a store, or let them in again, and say which."""
    with writing(open_store(out), command=shlex.join(sys.argv)) as (store, _):
        if undo:
            back = take_back(store, names)
            _line(console, f"{len(back)} videos are taken in again by the next run: {some(back)}")
            return
        removed, before = remove(store, names)
    if before:
        _line(console, f"{len(before)} videos were removed already: {some(before)}")
    if removed:
        _line(console, f"{len(removed)} videos removed: {some(removed)}")
        _line(console, "later runs leave their files alone; the same command with --undo takes them in again")


def print_verify(out: Location, console: Console) -> bool:
    """Problems of a store, a line each. Returns whether there are none."""
    report = verify(open_store(out))
    for note in report.notes:
        _line(console, f"note: {note}")
    for problem, fix in zip(report.problems, report.fixes, strict=True):
        _line(console, f"problem: {problem}; fix: {fix}")
    state = "clean" if report.clean else f"{len(report.problems)} problems"
    _line(console, f"{report.videos} videos, {report.parts} parts, {report.rows} rows: {state}")
    return report.clean


def print_certificates(folder: Location, days: int, console: Console) -> None:
    """Make certificates for a cluster; where they are and how they are used."""
    try:
        from pipeline.work.certificates import make_certificates
    except ImportError as error:
        raise MissingDependency(
            f"{error.name} is not installed here: pip install 'marquee[cluster]'"
        ) from error
    if not isinstance(folder, Path):
        raise UsageError(f"DIR is {str(folder)!r}; a folder on a disk is needed, which only you may enter")
    end = make_certificates(folder, days)
    _line(
        console,
        f"{folder}: certificates for a Dask cluster, valid until {end:%Y-%m-%d}; keep them to yourself",
    )
    _line(
        console,
        f"use them: --scheduler tls://HOST:PORT --certificates {folder}, or MARQUEE_CERTIFICATES={folder}",
    )


def print_doctor(folder: Path | None, console: Console) -> bool:
    """Packages, devices, OpenCV, and for each expert whether it can run here, and how to fix what cannot."""
    import torch

    if folder is not None:
        checked_folder(folder, "--weights")
    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    where = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    _line(console, f"{where}, {os.cpu_count()} cores, GPUs: {', '.join(devices) or 'none'}")
    found = installed(PACKAGES)
    _line(console, "  ".join(f"{name} {found.get(name, 'not installed')}" for name in PACKAGES))
    problem = check_opencv()
    _line(console, f"OpenCV: {problem or 'one distribution, as it should be'}")
    table = _table("expert", "can run", "fix")
    for name in expert_names():
        table.add_row(name, *map(escape, _diagnosis(name, folder)))
    console.print(table)
    return problem is None


def _diagnosis(name: str, folder: Path | None) -> tuple[str, str]:
    try:
        expert = make_expert(name)
        expert.check_installed()
    except (MarqueeError, ImportError) as error:
        return "no", str(error)
    missing = [file.name for file in expert.weights() if not _weight_state(file, folder)[1]]
    if missing:
        return "no: weights", f"python -m extract weights --experts {name} --fetch ({', '.join(missing)})"
    return "yes", ""


def _weight_state(file: WeightFile, folder: Path | None) -> tuple[str, bool]:
    try:
        found = check(file, folder)
    except MarqueeError as error:
        return str(error), False
    if found is None:
        return f"missing; from {file.url}", False
    kind = "published" if found.published else "your own (not a published hash)"
    return f"{found.path}, sha256 {found.sha256[:12]}, {kind}", True


def _completeness(complete: bool) -> str:
    return "complete" if complete else "not complete: run the same command again"


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    return table


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
