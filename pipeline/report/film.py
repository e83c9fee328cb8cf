"""Everything that the page of one video shows, as JSON."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from extract.tables import is_time
from pipeline.pages.pictures import USUAL_SIZE, placeholder_jpeg, size_of
from pipeline.pages.pieces import numbers
from pipeline.report.lanes import Lane, Scores, colours_of, lanes_of
from pipeline.report.video_tables import VideoTables

_FACTS = ("path", "container", "video_codec", "audio_codec", "sample_rate", "frames", "decode_errors", "note")


def film_json(
    video: VideoTables, *, media: str | None = None, genres: Scores | None = None
) -> dict[str, Any]:
    """``media``: the film's address, relative to the page. ``genres``: a model's scores shot by shot."""
    facts = video.facts
    tables = video.tables
    shots = tables.get("scenes")
    lanes: list[Lane] = [*lanes_of(tables, video.columns)]
    begin, end = _span(video)
    if genres is not None:
        lanes.insert(0, genres)
    return {
        "id": video.video_id,
        "begin": begin,
        "end": end,
        "fps": facts.get("fps"),
        "size": [facts.get("width"), facts.get("height")],
        "media": media,
        "facts": {name: facts[name] for name in _FACTS if facts.get(name) is not None},
        "partial": bool(facts.get("partial")),
        "failures": failures(video),
        "read": [table for table, state in video.states.items() if state.failure is None],
        "absent": {table: s.reason for table, s in video.states.items() if s.state == "absent"},
        "shots": None
        if shots is None
        else {"from": numbers(shots["start_seconds"]), "to": numbers(shots["end_seconds"])},
        "stills": _stills(video),
        "lanes": [lane.to_json() for lane in lanes],
    }


def failures(video: VideoTables) -> list[dict[str, str]]:
    """What failed, once for each reason: the tables of one expert fail together."""
    found: dict[tuple[str, str], list[str]] = {}
    for table, state in video.states.items():
        if state.failure is not None:
            found.setdefault((state.failure.stage, state.failure.message), []).append(table)
    return [{"what": ", ".join(sorted(tables)), "stage": s, "why": w} for (s, w), tables in found.items()]


def _span(video: VideoTables) -> tuple[float, float]:
    """From when to when on the video's clock, which in broadcasts begins anywhere: the shots say where."""
    tables = [table for table in video.tables.values() if len(table)]
    shots = video.tables.get("scenes", ())
    begin = float(np.min(shots["start_seconds"].to_numpy())) if len(shots) else 0.0
    ends = [float(np.max(table["end_seconds"].to_numpy())) for table in tables]
    length = video.facts.get("duration_seconds")
    if length is not None and is_time(length):
        ends.append(begin + length)
    return round(begin, 3), round(max([begin, *ends]), 3)


def _stills(video: VideoTables) -> dict[str, Any] | None:
    table = video.tables.get("thumbnails")
    if table is None:
        return None
    order = np.argsort(table["start_seconds"].to_numpy(), kind="stable")
    table = table.take(order)
    jpegs = table["jpeg"].to_pylist()
    sizes = [size_of(jpeg) for jpeg in jpegs]
    sound = [jpeg if size else placeholder_jpeg() for jpeg, size in zip(jpegs, sizes, strict=True)]
    return {
        "from": numbers(table["start_seconds"]),
        "shot": table["scene"].to_pylist(),
        "size": next(filter(None, sizes), USUAL_SIZE),
        "jpeg": [base64.b64encode(jpeg).decode() for jpeg in sound],
        "damaged": sizes.count(None),
        "bands": np.nan_to_num(colours_of(table), nan=128).round().astype(int).tolist(),
    }
