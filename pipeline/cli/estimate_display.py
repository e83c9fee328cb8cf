"""What ``--estimate`` shows."""

from __future__ import annotations

from rich.console import Console

from extract.errors import count
from extract.terminal import print_line
from pipeline.about.estimate import estimate
from pipeline.cli.display import show
from pipeline.work.config import RunConfig
from pipeline.work.progress import RunProgress


def print_estimate(config: RunConfig, console: Console, *, verbose: bool) -> None:
    """Try a few videos; then time, size, memory and what bounds them, for all."""
    progress = RunProgress()
    with show(progress, console, verbose=verbose):
        found = estimate(config, progress)
    failed = f", {found.failed} of them failed" if found.failed else ""
    print_line(console, f"tried {found.sample} of {count(found.videos, 'video')}{failed}; for all:")
    low, high = (duration(seconds) for seconds in found.seconds)
    print_line(console, f"one worker: {high}" if low == high else f"one worker: {low} to {high}")
    print_line(
        console,
        f"{count(found.workers, 'worker')} on this machine: {duration(found.seconds_of_workers)} "
        f"({count(found.cores, 'core')})",
    )
    size = found.store_bytes / 1e6
    print_line(console, f"tables: {f'{size:.1f} MB' if size < 1000 else f'{size / 1000:,.1f} GB'}")
    print_line(console, f"memory: {found.memory_bytes / 1e9:.1f} GB for each worker")
    busy = ", ".join(f"{stage} {share:.0%}" for stage, share in found.busy.items())
    print_line(console, f"bound by {found.bound_by} ({busy})")


def duration(seconds: float) -> str:
    """In the unit that fits: "40 s", "12 min", "3.5 h", "6.2 days"."""
    for unit, size, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < most:
            return f"{seconds / size:.{0 if size < 3600 else 1}f} {unit}"
    return f"{seconds / 86_400:.1f} days"
