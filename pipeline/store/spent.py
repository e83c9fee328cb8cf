"""What extracting a video costs, over all runs of a store: seconds of decoder, shot network and experts.

``run.json`` has it under ``spent``: for ``decode``, ``windows`` (the shot network) and every expert how many
videos were worked on, and the seconds of it. Seconds are of one worker's stage, so stages that ran side by
side are added up. Runs that were killed count neither their videos nor their seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

OF_EVERY_VIDEO = ("decode", "windows")  # whatever experts there are
READ_FROM = {"ocr": "ocr", "asr": "whisper"}  # the expert whose text a table reads, by the table's first word

Spent = dict[str, dict[str, Any]]


def added(
    before: Mapping[str, Mapping[str, Any]], measured: Mapping[str, Any], made: Mapping[str, str]
) -> Spent:
    """With what a run measured; ``made``: expert -> fingerprint, since rows of another one cost anew."""
    seconds = {
        "decode": measured.get("busy_seconds", {}).get("decode", 0.0),
        **measured.get("queue_seconds", {}),
    }
    videos = {name: measured.get("videos", 0) for name in OF_EVERY_VIDEO} | dict(
        measured.get("expert_videos", {})
    )
    spent = {name: dict(entry) for name, entry in before.items()}
    for name, used in seconds.items():
        if not videos.get(name):
            continue
        entry = spent.get(name, {})
        if entry.get("fingerprint") != made.get(name):
            entry = {}
        spent[name] = {
            "fingerprint": made.get(name),
            "videos": entry.get("videos", 0) + videos[name],
            "seconds": round(entry.get("seconds", 0.0) + used, 3),
        }
    return spent


def seconds_a_video(record: Mapping[str, Any], tables: Iterable[str]) -> float:
    """Mean seconds of decoding a video and computing some tables with all that they read, of ``run.json``.

    NaN where nothing was recorded of one of them: tables of an older store, or imported ones.
    """
    experts, spent = record.get("experts", {}), record.get("spent", {})
    wanted: dict[str, None] = {}
    for table in tables:
        of = next((name for name, entry in experts.items() if table in entry["tables"]), table)
        wanted |= dict.fromkeys(_with_what_it_reads(experts, of, table))
    known = ["decode", *(name for name in ("windows",) if name in spent), *wanted]
    if not all(name in spent for name in ("decode", *wanted) if name not in _WITHOUT_A_MODEL):
        return math.nan
    return math.fsum(spent[name]["seconds"] / spent[name]["videos"] for name in known if name in spent)


_WITHOUT_A_MODEL = {"scenes"}  # its work is the decoder's, and the shot network's


def _with_what_it_reads(experts: Mapping[str, Any], expert: str, table: str) -> list[str]:
    """The expert and those that it reads from; of several texts the one that the table is named after."""
    upstream = list(experts.get(expert, {}).get("upstream", ()))
    text = READ_FROM.get(table.partition("_")[0])
    if len(experts.get(expert, {}).get("tables", ())) > 1 and text in upstream:
        upstream = [name for name in upstream if name not in READ_FROM.values() or name == text]
    return [expert, *(name for each in upstream for name in _with_what_it_reads(experts, each, each))]
