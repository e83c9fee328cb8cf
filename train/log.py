"""How a training tells its user what it does: a line at a time, to whoever gives a function for it."""

from __future__ import annotations

import os
from collections.abc import Callable

from extract.errors import UsageError

Log = Callable[[str], None]


def silent(line: str) -> None:
    """The log of those who want none."""


def log_of(log: Log | None) -> Log:
    """The log that is given, or none. Raises UsageError for what cannot be called."""
    if log is not None and not callable(log):
        raise UsageError(f"log is {log!r}; a function of one line is needed, such as print")
    return log or silent


def first_process() -> bool:
    """Whether this is the one that speaks and writes, of several processes on several GPUs."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def log_of_this_process(log: Log | None) -> Log:
    """The same; of several processes, the first one alone speaks."""
    return log_of(log) if first_process() else silent
