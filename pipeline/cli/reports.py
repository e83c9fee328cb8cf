"""What the command line prints about a run, before it, meanwhile and after it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from extract.errors import again, clean, command, count
from extract.selection import select
from extract.terminal import console, make_table, print_line, print_next
from extract.weights.files import MissingWeights
from pipeline.cli.config import config_of, read_config
from pipeline.cli.display import show
from pipeline.cli.estimate_display import print_estimate
from pipeline.cli.failure_reports import print_failures
from pipeline.cli.missing import missing_text, print_missing
from pipeline.precision import with_precision
from pipeline.storage.scan import scan
from pipeline.store.layout import open_store, run_again
from pipeline.store.todo import todo
from pipeline.store.videos import read_shards
from pipeline.work.cluster import check_cluster
from pipeline.work.config import RunConfig, make_targets
from pipeline.work.inputs import compare
from pipeline.work.progress import RunProgress
from pipeline.work.run import RunReport, run_config

Only = Literal["dry run", "estimate"]


def extract_asked(
    given: Mapping[str, Any], file: Path | None, screen: Console, *, only: Only | None, verbose: bool
) -> int:
    """Extract what flags (and a file under them) ask for, or ``only`` say what that takes; exit status."""
    merged = {**({} if file is None else read_config(file)), **given}
    plan = config_of(merged)
    try:
        if only is None:
            return extract_and_report(plan, screen, verbose=verbose)
        if only == "estimate":
            print_estimate(plan, screen, verbose=verbose)
        else:
            print_plan(plan, screen)
        print_next(screen, again(without="--estimate" if only == "estimate" else "--dry-run"))
        return 0
    except MissingWeights as error:
        print_missing(error, plan.experts, merged, console(stderr=True))
        return 2


def extract_and_report(plan: RunConfig, screen: Console, *, verbose: bool = False) -> int:
    """Extract, show how far it is, and say what came of it; the exit status."""
    if plan.random_seed is not None:
        screen.print(
            f"[bold red]RANDOM WEIGHTS (seed {plan.random_seed}): the features are meaningless.[/] Every "
            "shard records this.",
        )
    if plan.cluster.is_open:
        _warn(
            f"{plan.cluster.scheduler} is open: anyone who can reach that port can run code as you, there "
            "and on all workers; docs/cluster.md says how to close it (tls:// and --certificates)",
            screen,
        )
    progress = RunProgress()
    with show(progress, screen, verbose=verbose):
        report = run_config(plan, progress)
    for warning in progress.warnings:
        _warn(warning, screen)
    print_run(report, progress, screen, verbose=verbose)
    if "keep_flow" in plan.options.get("flow", {}) and not progress.expert_videos["flow"]:
        screen.print("flow was already stored, so no pictures were written; use a new store to write them")
    return report.exit_status


def print_run(report: RunReport, progress: RunProgress, console: Console, *, verbose: bool = False) -> None:
    """The outcome of a run: states and rows for each expert, and where to look further."""
    table = make_table("expert", "ok", "absent", "failed", "rows")
    for name, states in report.states.items():
        counts = [str(states[state]) for state in ("ok", "absent", "failed")]
        table.add_row(name, *counts, str(report.rows.get(name, 0)))
    console.print(table)
    for video_id, why in report.replaced.items():
        print_line(console, f"changed, so extracted again: {clean(video_id)!r}: {why}")
    line = f"{count(report.videos, 'video')} in {report.store.root}, {report.computed} worked on now"
    if report.ignored:
        line += f"; {count(report.ignored, 'other file')} ignored (ignored.parquet says why)"
    print_line(console, line)
    reading = progress.whole
    if reading is not None and verbose:
        busy = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in reading.busy_seconds.items())
        print_line(console, f"busy: {busy}")
        if reading.pictures:
            print_line(console, f"decodes per video: {reading.pictures_decoded / reading.pictures:.2f}")
    if progress.deaths:
        print_line(console, f"{count(progress.deaths, 'job')} lost their worker; their videos were run again")
    if report.failed:
        print_failures(report.store, console)
    if report.interrupted:
        print_line(
            console, "stopped by a signal; what was finished is written: run the same command to resume"
        )
        print_next(console, run_again(report.store))
        return
    print_next(console, command("describe", report.store.root), command("summary", report.store.root))


def print_plan(config: RunConfig, console: Console) -> None:
    """What a run would do; checks all that it would, downloads and writes nothing."""
    check_cluster(config.cluster)
    config, told = with_precision(config)
    found = scan(config.videos, out=config.out).checked()
    try:
        selection = select(replace(config, download=False))
    except MissingWeights as error:
        if not config.download:
            raise
        print_line(console, f"a run would first download {missing_text(error)}; nothing was done")
        return
    targets = make_targets(selection)
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
    table = make_table("expert", "videos to do", "fingerprint", "weights")
    for target in targets:
        files = ", ".join(w.path.name for w in selection.weights.get(target.expert, {}).values())
        table.add_row(target.expert, str(counts[target.expert] + len(new)), target.fingerprint, files or "-")
    console.print(table)
    for text in told:
        print_line(console, text)
    print_line(
        console,
        f"{count(len(found.inputs), 'video')} ({len(new)} new) in {config.videos}, "
        f"{count(len(found.ignored), 'other file')}; device {selection.device}; nothing was done",
    )


def _warn(text: str, screen: Console) -> None:
    screen.print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)
