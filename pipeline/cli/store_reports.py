"""What the command line prints about stores."""

from __future__ import annotations

import shlex
import sys

from rich.console import Console

from extract.errors import command, count, some
from extract.terminal import make_table, print_line, print_next
from pipeline.cli.failure_reports import print_failures
from pipeline.storage.location import Location
from pipeline.store.layout import open_store, run_again
from pipeline.store.lock import writing
from pipeline.store.removal import remove, take_back
from pipeline.store.status import status
from pipeline.store.verify import verify


def print_status(out: Location, console: Console) -> None:
    """Counts for each expert of a store."""
    store = open_store(out)
    found = status(store)
    old = any(e.old_bytes for e in found.experts)
    wide = console.width >= 80
    heads = ["ok", "absent", "failed", "missing", "rows", "MB", *(["old MB"] if old else [])]
    table = make_table("expert", *heads, *(["fingerprint"] if wide else []))
    for e in found.experts:
        counts = (e.ok, e.absent, e.failed, e.missing, e.rows)
        sizes = [f"{e.bytes / 1e6:.1f}", *([f"{e.old_bytes / 1e6:.1f}"] if old else [])]
        table.add_row(e.expert, *map(str, counts), *sizes, *([e.fingerprint] if wide else []))
    console.print(table)
    if found.random:
        text = f"RANDOM WEIGHTS: the features of {', '.join(found.random)} are meaningless"
        console.print(text, style="bold red", markup=False, soft_wrap=True)
    for problem in found.problems:
        print_line(console, f"problem: {problem}; {command('verify', out)} says what to do")
    if found.root is not None:
        print_line(console, f"videos from {found.root}")
    state = "complete" if found.complete else "not complete"
    print_line(console, f"{count(found.videos, 'video')} in {count(found.shards, 'shard')}; {state}")
    print_failures(store, console)
    if found.writer is not None:
        print_line(console, f"{found.writer} is writing: what it has not written yet shows as missing")
    else:
        print_next(console, *([command("describe", out)] if found.complete else []), run_again(store))


def print_removal(out: Location, names: list[str], *, undo: bool, console: Console) -> None:
    """Take videos out of a store, or let them in again, and say which."""
    with writing(open_store(out), command=shlex.join(sys.argv)) as (store, _):
        if undo:
            back = take_back(store, names)
            print_line(
                console, f"{count(len(back), 'video')} will be added again by the next run: {some(back)}"
            )
            print_next(console, run_again(store))
            return
        removed, before = remove(store, names)
    if before:
        print_line(console, f"{count(len(before), 'video')} had already been removed: {some(before)}")
    if removed:
        print_line(console, f"{count(len(removed), 'video')} removed: {some(removed)}")
        print_line(console, "later runs skip their files; the same command with --undo adds them again")
    print_next(console, command("status", out))


def print_verify(out: Location, console: Console) -> bool:
    """Problems of a store, a line each. Returns whether there are none."""
    report = verify(open_store(out))
    for note in report.notes:
        print_line(console, f"note: {note}")
    for problem, fix in zip(report.problems, report.fixes, strict=True):
        print_line(console, f"problem: {problem}; fix: {fix}")
    state = "clean" if report.clean else count(len(report.problems), "problem")
    found = [count(report.videos, "video"), count(report.parts, "part"), count(report.rows, "row")]
    print_line(console, f"{', '.join(found)}: {state}")
    return report.clean
