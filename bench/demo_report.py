"""What ``make demo`` prints at its end: the rows that were found, beside what was rendered; and its pages."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from bench.demo_trailers import DEMO
from pipeline.report.site import report
from pipeline.store.reading import read

Rows = list[dict[str, Any]]
TOLERANCE_FRAMES = 1


def rows(store: Path, table: str, video_id: str) -> Rows:
    found: Rows = read(store, table, video_ids=[video_id]).to_pylist()
    return found


def cuts_found(scenes: Rows, truth: dict[str, Any]) -> int:
    """How many of the rendered hard cuts begin a scene, within one frame."""
    starts = [scene["start_frame"] for scene in scenes]
    return sum(any(abs(cut["frame"] - s) <= TOLERANCE_FRAMES for s in starts) for cut in truth["cuts"])


def titles(lines: Rows) -> list[tuple[float, str]]:
    """Each keyframe's lines of text as one, with the time at which it was read."""
    texts: dict[float, list[str]] = {}
    for line in lines:
        texts.setdefault(line["start_seconds"], []).append(line["text"])
    return [(seconds, " / ".join(parts)) for seconds, parts in sorted(texts.items())]


def trailer_table(folder: Path, name: str) -> Table:
    """One trailer: its scenes against the rendered cuts, the titles that were read, its descriptors."""
    store = folder / "features"
    truth = json.loads((folder / "truth" / f"{name}.json").read_text(encoding="utf-8"))
    scenes, lines = rows(store, "scenes", name), rows(store, "ocr", name)
    (whole,) = rows(store, "lowlevel_video", name)
    found, cuts = cuts_found(scenes, truth), len(truth["cuts"])
    sound = rows(store, "spectrogram", name)

    table = Table(title=f"\n{name}", title_justify="left", show_header=False, box=None, padding=(0, 2))
    table.add_row("scenes", f"{len(scenes)}, with {found} of {cuts} hard cuts within a frame")
    for seconds, read_text in titles(lines):
        table.add_row("title read", f"at {seconds:5.2f} s  {read_text}")
    table.add_row("titles rendered", " | ".join(" / ".join(title["lines"]) for title in truth["titles"]))
    shown = ("average_shot_length_seconds", "colour_variance", "lighting_key", "motion_content")
    numbers = [f"{key} {whole[key]:.3g}" for key in shown]
    table.add_row("descriptors", ", ".join(numbers))
    table.add_row("spectrograms", f"{len(sound)} of 3 s" if sound else "absent: no sound")
    return table


def print_found(folder: Path, console: Console) -> None:
    for trailer in DEMO:
        console.print(trailer_table(folder, trailer.name))
    failures: Rows = pq.read_table(folder / "features" / "failures.parquet").to_pylist()
    for video_id, message in sorted({(row["video_id"], row["message"]) for row in failures}):
        console.print(f"\nrecorded as failed: {video_id}: {message}", markup=False, soft_wrap=True)


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python -m bench.demo_report FOLDER")
    folder, console = Path(arguments[0]), Console(width=100)
    print_found(folder, console)
    pages = report(folder / "features", folder / "pages")
    console.print(f"\nnext: open {pages.index.resolve().as_uri()}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    main(sys.argv[1:])
