"""Lines and tables as every command prints them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from pipeline.storage.names import clean


def make_table(*columns: str) -> Table:
    """An empty table; what is too wide for the terminal is folded, not cut."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    return table


def print_next(console: Console, *commands: str) -> None:
    """The commands that are useful now, a line each, so that they can be copied."""
    for command in commands:
        print_line(console, f"next: {command}")


def print_line(console: Console, text: str) -> None:
    """One line, whatever characters are in it."""
    console.print(clean(text), markup=False, highlight=False, soft_wrap=True)
