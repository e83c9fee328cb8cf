"""What the first page shows of all videos: figures in columns, posters, and every line of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.about.summary import MEANINGS, Summary
from pipeline.pages.pieces import numbers
from pipeline.report.lanes import speech, titles
from pipeline.report.video_tables import VideoTables

# Headings and units of a summary's figures. Shares are in per cent; failures have a column of their own.
_HEADINGS = {
    "duration_seconds": ("Length", "clock"),
    "shots": ("Shots", ""),
    "shots_per_minute": ("Shots/min", ""),
    "shot_mean_seconds": ("Mean shot", "s"),
    "shot_median_seconds": ("Median shot", "s"),
    "speech_share": ("Speech", "%"),
    "text_share": ("Text", "%"),
    "silence_share": ("Silence", "%"),
    "brightness": ("Brightness", "%"),
    "motion": ("Motion", "%"),
    "faces_share": ("Faces", "%"),
}


def corpus_json(
    title: str, summary: Summary, ids: Sequence[str], states: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The first page's data: ``ids`` and ``states`` (:func:`state_of`) in the order of the pages."""
    place = {name: number for number, name in enumerate(summary.video_ids)}
    order = [place[name] for name in ids]
    columns: list[dict[str, str]] = []
    table: dict[str, list[Any]] = {"id": list(ids)}
    for name in MEANINGS:
        if name in _HEADINGS and name in summary.figures:
            heading, unit = _HEADINGS[name]
            columns.append({"key": name, "name": heading, "unit": unit, "about": MEANINGS[name]})
            values = summary.figures[name][order] * (100 if unit == "%" else 1)
            table[name] = numbers(values)
    table |= {key: [state[key] for state in states] for key in ("failed", "why", "partial", "waiting")}
    seconds = summary.figures.get("duration_seconds", np.zeros(0))
    spoken = Counter(code for codes in summary.languages.values() for code in codes[:1])
    overview = {
        "videos": len(ids),
        "hours": round(float(np.nansum(seconds)) / 3600, 2),
        "shots": int(np.nansum(summary.figures.get("shots", np.zeros(0)))),
        "failed": sum(bool(state["failed"]) for state in states),
        "partial": sum(state["partial"] for state in states),
        "waiting": sum(state["waiting"] for state in states),
        "languages": spoken.most_common(),
    }
    return {"title": title, "overview": overview, "columns": columns, "table": table}


def state_of(failures: Sequence[dict[str, str]], *, partial: bool, waiting: bool) -> dict[str, Any]:
    """What failed of a video, why, whether it was read whole, and whether nothing was extracted yet."""
    return {
        "failed": [failure["what"] for failure in failures],
        "why": [failure["why"] for failure in failures],
        "partial": partial,
        "waiting": waiting,
    }


def lines_of(video: VideoTables) -> list[tuple[str, float, str]]:
    """All words of a video: ``titles`` or ``speech``, when, and the line."""
    found = []
    for kind, table, lane in (("titles", "ocr", titles), ("speech", "whisper", speech)):
        if table in video.tables:
            made = lane(video.tables[table])
            found += [(kind, when, text) for when, text in zip(made.starts, made.texts, strict=True)]
    return found
