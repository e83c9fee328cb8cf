"""Failures on screen: the first few with name and reason, what helps, and where the rest is."""

from __future__ import annotations

from rich.console import Console

from extract.errors import count
from extract.terminal import print_line
from pipeline.about.failures import failed_videos, remedies
from pipeline.store.layout import Store

SHOWN = 10
_LONGEST_REASON = 300


def print_failures(store: Store, console: Console) -> None:
    """Nothing where nothing failed."""
    failed = failed_videos(store)
    for one in failed[:SHOWN]:
        reason = " ".join(one.message.split())[:_LONGEST_REASON]
        print_line(console, f"failed: {one.video_id} ({', '.join(one.experts)}): {reason}")
    if len(failed) > SHOWN:
        more = count(len(failed) - SHOWN, "more failure")
        print_line(console, f"{more} in {store.root / 'failures.parquet'}")
    for line in remedies(store, failed):
        print_line(console, line)
