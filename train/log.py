"""How a training tells its user what it does: a line at a time, to whoever gives a function for it."""

from __future__ import annotations

import os
from collections.abc import Callable

Log = Callable[[str], None]


def silent(line: str) -> None:
    """The log of those who want none."""


def log_of_this_process(log: Log | None) -> Log:
    """Of several processes on several GPUs, the first one alone speaks."""
    return silent if log is None or os.environ.get("LOCAL_RANK", "0") != "0" else log
