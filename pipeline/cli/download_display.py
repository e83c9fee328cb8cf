"""Progress of downloads for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from extract.weights.files import DownloadProgress, WeightFile, size_text


@contextmanager
def show_downloads(console: Console) -> Iterator[DownloadProgress]:
    """Show what the block tells of its downloads: a bar for each file on a terminal, a line elsewhere."""
    name = TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold"))
    columns = (name, BarColumn(20), DownloadColumn(), TimeRemainingColumn(compact=True))
    bars: dict[WeightFile, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as panel:

        def hear(file: WeightFile, done: int, total: int | None) -> None:
            if file not in bars:
                bars[file] = panel.add_task(file.name, completed=done, total=total)
                if not console.is_terminal:
                    console.print(
                        f"downloading {file.name}, {size_text(total)}", markup=False, soft_wrap=True
                    )
            panel.update(bars[file], completed=done, total=total)

        yield hear
