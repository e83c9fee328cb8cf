"""Progress for people: a live panel on a terminal, plain lines everywhere else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from extract.engine.meter import Reading
from extract.errors import count
from pipeline.work.progress import RunProgress

PLAIN_SECONDS = 15.0
LIVE_SECONDS = 0.25


def show(progress: RunProgress, console: Console, *, verbose: bool = False) -> AbstractContextManager[None]:
    """Show a run in progress; with ``verbose``, what each part of it does too."""
    return shown(
        console,
        panel=lambda: _panel(progress, verbose),
        line=lambda: status_line(progress, verbose=verbose),
    )


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """A thread does ``work`` until the block ends, which sets the event and waits for it."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def shown(
    console: Console, *, panel: Callable[[], RenderableType], line: Callable[[], str]
) -> AbstractContextManager[None]:
    """In the meantime ``panel`` is kept fresh on a terminal; elsewhere ``line`` is printed now and then."""

    def live(over: threading.Event) -> None:
        with Live(panel(), console=console, refresh_per_second=4, transient=True) as screen:
            while not over.wait(LIVE_SECONDS):
                screen.update(panel())

    def plain(over: threading.Event) -> None:
        while not over.wait(PLAIN_SECONDS):
            console.print(line(), markup=False, highlight=False, soft_wrap=True)

    return meanwhile(live if console.is_terminal else plain)


@contextmanager
def videos_counted(console: Console, doing: str) -> Iterator[Callable[[int], None]]:
    """In the meantime "``doing`` · 3 videos" is shown; the function that comes takes how many are done."""
    done = 0

    def line() -> str:
        return f"{doing} · {count(done, 'video')}"

    def progress(videos: int) -> None:
        nonlocal done
        done = videos

    with shown(console, panel=line, line=line):
        yield progress


def time_left_seconds(progress: RunProgress, now: float) -> float | None:
    """From the pace of this run so far; None until a video is done."""
    left = progress.total - progress.already - progress.done
    return (now - progress.started) / progress.done * left if progress.done else None


def status_line(progress: RunProgress, *, verbose: bool = False) -> str:
    """One line: videos done and failed, time left, or spent until a video is done.

    With ``verbose``, pace and what bounds the run too.
    """
    now = time.monotonic()
    parts = [progress.stage]
    if progress.total:
        parts.append(f"{progress.already + progress.done}/{count(progress.total, 'video')}")
    if progress.failed:
        parts.append(f"{progress.failed} with failures")
    if progress.deaths:
        parts.append(f"{count(progress.deaths, 'job')} lost their worker")
    if verbose:
        parts += _workings(progress, now)
    left = time_left_seconds(progress, now)
    if left is None:
        parts.append(f"{timedelta(seconds=int(now - progress.started))} so far")
    elif left:
        parts.append(f"about {timedelta(seconds=round(left))} left")
    return " · ".join(parts)


def _workings(progress: RunProgress, now: float) -> list[str]:
    parts = []
    if progress.done:
        parts.append(f"{progress.done / (now - progress.started) * 60:.1f} videos/min")
    reading = progress.now
    if reading is not None:
        if progress.place:
            parts.append(f"{count(len(progress.workers), 'worker')} of {progress.place}")
        busy = ", ".join(f"{stage} {share:.0%}" for stage, share in reading.busy.items())
        parts.append(f"bound by {reading.bound_by} ({busy})")
    gpus = [f"{w.gpu[:12]} {w.reading.busy['device']:.0%}" for w in progress.workers if w.gpu and w.reading]
    if gpus:
        parts.append(f"GPUs: {', '.join(gpus)}")
    return parts


def _panel(progress: RunProgress, verbose: bool) -> RenderableType:
    line = "stopping: writing what is finished (again to exit at once)" if progress.stopping else None
    finished = progress.already + progress.done
    bar = ProgressBar(total=max(progress.total, 1), completed=finished, width=60)
    top = Table.grid()
    top.add_row(bar)
    parts: list[RenderableType] = [top, Text(line or status_line(progress, verbose=verbose))]
    reading = progress.now
    if reading is not None and verbose:
        parts.append(_experts(progress, reading))
    return Group(*parts)


def _experts(progress: RunProgress, reading: Reading) -> Table:
    seconds = max(time.monotonic() - progress.started, 1e-9)
    table = Table("expert", "rows", "rows/s", "waiting", "videos", "videos/s", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name in sorted({*reading.rows, *progress.expert_videos}):
        videos = progress.expert_videos[name]
        table.add_row(
            name,
            str(reading.rows.get(name, 0)),
            f"{reading.rows_per_second.get(name, 0.0):.1f}",
            str(reading.waiting.get(name, 0)),
            str(videos),
            f"{videos / seconds:.2f}",
        )
    return table
