"""What came of running videos of a store again, for people."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.markup import escape

from extract.errors import count
from extract.terminal import make_table, print_line
from pipeline.recompute.recompute import Recompute, TableCheck, draw, recompute
from pipeline.storage.location import Location
from pipeline.store.layout import open_store

_REASON_CHARACTERS = 300


def print_recompute(out: Location, settings: Recompute, console: Console) -> bool:
    """The drawn videos, then a line for each table. Returns whether all that was compared is as stored."""
    store = open_store(out)
    drawn = draw(store, settings)
    ids = ", ".join(video.video_id for video in drawn.videos)
    print_line(console, f"{count(len(drawn.videos), 'video')} drawn with --seed {settings.seed}: {ids}")
    found = recompute(store, drawn, settings)
    table = make_table("expert", "table", "verdict", "videos", "rows", "worst row", "stored", "came")
    for column in ("cosine", "largest difference"):
        table.add_column(column, justify="right")
    for check in found.tables:
        counts = (str(check.compared), str(check.rows))
        table.add_row(check.expert, check.table, check.verdict, *counts, *map(escape, _worst(check)))
    console.print(table)
    for check in found.tables:
        for reason, videos in Counter(check.skipped.values()).items():
            print_line(console, f"not compared: {check.table}, {count(videos, 'video')}: {_one_line(reason)}")
    verdicts = Counter(check.verdict for check in found.tables)
    said = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items())
    nothing = "" if found.compared else "; nothing could be compared"
    print_line(console, f"{count(len(found.tables), 'table')}: {said}{nothing}")
    return found.clean


def _worst(check: TableCheck) -> tuple[str, str, str, str, str]:
    worst = check.worst
    if worst is None:
        return ("", "", "", "", "")
    row = "" if worst.row is None else f" row {worst.row}"
    return (
        f"{check.worst_video}{row} {worst.column}",
        worst.stored,
        worst.came,
        "" if worst.cosine is None else f"{worst.cosine:.9f}",
        "" if worst.largest is None else f"{worst.largest:.3g}",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_REASON_CHARACTERS]
