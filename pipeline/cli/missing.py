"""What is said of weights that are missing: what can run now, how to get the rest, the list on request."""

from __future__ import annotations

from extract import terminal
from extract.errors import MarqueeError


def show_error(error: MarqueeError) -> None:
    """An error of any command."""
    terminal.show_error(error)
