"""A run's progress in a notebook: one line and a bar below the cell, kept fresh while it runs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from pipeline.cli.display import meanwhile, status_line
from pipeline.work.progress import RunProgress

FRESH_SECONDS = 0.5


@contextmanager
def shown_in_notebook(progress: RunProgress) -> Iterator[None]:
    """In the meantime the notebook that this process belongs to, if any, shows the progress."""
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:  # a script, or IPython on a terminal
        yield
        return
    handle = ipython.display.display(_picture(progress), raw=True, display_id=True)

    def fresh(over: threading.Event) -> None:
        while not over.wait(FRESH_SECONDS):
            handle.update(_picture(progress), raw=True)

    try:
        with meanwhile(fresh):
            yield
    finally:
        handle.update(_picture(progress), raw=True)


def _picture(progress: RunProgress) -> dict[str, str]:
    """By MIME type."""
    line = status_line(progress)
    bar = f'<progress max="{max(progress.total, 1)}" value="{progress.already + progress.done}"></progress>'
    return {"text/plain": line, "text/html": f"{bar} {escape(line)}"}
