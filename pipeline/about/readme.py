"""The README.md of a store: how it was made, what is in it, how to read it with other tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from extract.errors import count
from extract.registry import expert_names, make_expert
from pipeline.about.cite import references_of
from pipeline.storage.location import read_bytes
from pipeline.store.contents import README_FILE
from pipeline.store.layout import Store, Target

FIRST_LINE = "<!-- Written by Marquee after every run; remove this line to keep your own text. -->"
_MOST_BYTES = 1 << 20
_READING = Path(__file__).parent / "reading.md"  # each snippet reads the current rows of one table

_HOW = """\
{videos} of `{root}`, extracted by Marquee {version}; the last run began {started}.
`marquee extract --out .` continues, `marquee describe .` explains every column, `marquee summary .` sums up.
"""
_WHAT = """
Every row has `video_id`, `row`, `start_seconds` and `end_seconds`: a half-open interval on the video's own
clock. `videos` has a row for each input; `coverage.parquet` says for each video and expert whether it is ok,
absent (nothing there) or failed, `failures.parquet` why. Files of earlier options may lie beside the current
ones.
"""


def write_readme(store: Store, targets: Sequence[Target], rows: Mapping[str, int], videos: int) -> None:
    """After a run, under the store's lock; a file of that name that somebody else wrote stays.

    ``rows``: of each expert.
    """
    path = store.root / README_FILE
    try:
        if not read_bytes(path, most_bytes=_MOST_BYTES).startswith(FIRST_LINE.encode()):
            return
    except FileNotFoundError:
        pass
    text = "\n".join(_lines(store.run_record(), targets, rows, videos)) + "\n"
    with store.write(path) as temporary:
        temporary.write_text(text, "utf-8")


def _lines(
    record: Mapping[str, Any], targets: Sequence[Target], rows: Mapping[str, int], videos: int
) -> Iterator[str]:
    yield from (FIRST_LINE, "", "# Features of videos", "")
    yield _HOW.format(
        videos=count(videos, "video"),
        root=record.get("root"),
        version=record.get("marquee"),
        started=record.get("started"),
    )
    random = [target.expert for target in targets if target.made_of.get("random_seed") is not None]
    if random:
        yield f"**RANDOM WEIGHTS: the features of {', '.join(random)} are meaningless.**\n"
    yield from ("## Tables", "", "| expert | tables | rows | current files | what |", "|---|---|---|---|---|")
    for target in targets:
        tables = ", ".join(f"`{table}`" for table in target.tables)
        what = make_expert(target.expert).summary if target.expert in expert_names() else "imported"
        files = f"`part-*-{target.fingerprint}.parquet`"
        yield f"| `{target.expert}` | {tables} | {rows.get(target.expert, 0):,} | {files} | {what} |"
    yield _WHAT
    if targets:
        table = targets[0].tables[0]
        files = f"{table}/part-*-{targets[0].fingerprint}.parquet"
        yield _READING.read_text("utf-8").replace("FILES", files).replace("TABLE", table).rstrip()
    keys = ", ".join(references_of(targets))
    yield from ("", "## Citing", "", f"Keys that `marquee cite .` prints in full: {keys}.")
