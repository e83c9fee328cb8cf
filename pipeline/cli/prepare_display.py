"""Progress of prepare for people, and its outcome."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.text import Text

from extract.errors import command, count
from extract.terminal import print_line, print_next
from pipeline.cli.display import shown
from pipeline.copies.prepare import FAILURES, PrepareConfig, PrepareProgress, PrepareReport, prepare

SHOWN = 5  # failures that are printed; all of them are in the file


def prepare_and_report(config: PrepareConfig, console: Console) -> int:
    """Make copies, show how far it is, and say what came of it; the exit status."""
    progress = PrepareProgress()
    with show(progress, console):
        report = prepare(config, progress)
    print_report(report, console)
    return report.exit_status


@contextmanager
def show(progress: PrepareProgress, console: Console) -> Iterator[None]:
    """Show it in progress."""
    try:
        with shown(console, panel=lambda: _panel(progress), line=lambda: status_line(progress)):
            yield
    except KeyboardInterrupt:
        print_line(console, "stopped; complete copies are kept: run the same command to resume")
        raise


def status_line(progress: PrepareProgress) -> str:
    """One line: copies there and failed, seconds of video copied per second, time left."""
    elapsed = max(time.monotonic() - progress.started, 1e-9)
    parts = [f"preparing · {progress.already + progress.done}/{count(progress.total, 'video')}"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.seconds:
        parts.append(f"{progress.seconds / elapsed:.1f}x real time")
    if progress.done:
        left = progress.total - progress.already - progress.done
        parts.append(f"about {timedelta(seconds=round(elapsed / progress.done * left))} left")
    return " · ".join(parts)


def print_report(report: PrepareReport, console: Console) -> None:
    """What there is now, the first failures, and where the others are."""
    print_line(
        console,
        f"{count(report.made + report.already, 'copy', 'copies')} in {report.out}, {report.made} made now; "
        f"{count(report.ignored, 'other file')} ignored",
    )
    for failed in report.failures[:SHOWN]:
        why = failed.log.splitlines()[-1:] or [""]
        print_line(console, " ".join(f"failed: {failed.path!r}: {failed.message} {why[0]}".split()))
    if report.failures:
        print_line(
            console,
            f"all failures are recorded in {report.out / FAILURES}; the same command tries them again",
        )
    print_next(console, command("extract", report.out, "--preset", "offline"))


def _panel(progress: PrepareProgress) -> Text:
    running = sorted(dict(progress.running).items())  # a copy: it changes meanwhile
    lines = [f"  {name!r}: {seconds:.0f} s" for name, seconds in running]
    return Text("\n".join([status_line(progress), *lines]))
