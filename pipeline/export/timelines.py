"""Shots as clips of a timeline: OpenTimelineIO, and CMX 3600 edit decision lists by its adapter."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pipeline.export.chosen import each
from pipeline.export.folder import ExportFolder
from pipeline.export.texts import one_line
from pipeline.report.video_tables import VideoTables
from pipeline.storage.names import relative_file

if TYPE_CHECKING:
    from opentimelineio.schema import Clip, Timeline

_SAME_RATE = 4e-4  # headers say 23.98 for 24000/1001; 24 is a thousandth away
_NTSC = tuple(number * 1000 / 1001 for number in (24, 30, 48, 60))
_TIMECODE_RATES = (24.0, 25.0, 30.0, 48.0, 50.0, 60.0, *_NTSC)  # SMPTE ST 12-1
_DROP = (30000 / 1001, 60000 / 1001)


def _write_otio(video: VideoTables, folder: ExportFolder) -> None:
    timeline = _timeline(video, timecode=False)
    if timeline is not None:
        _write(timeline, video, folder, adapter="otio_json", suffix="otio")


def _write_edl(video: VideoTables, folder: ExportFolder) -> None:
    timeline = _timeline(video, timecode=True)
    if timeline is not None:
        _write(timeline, video, folder, adapter="cmx_3600", suffix="edl")


def _write(
    timeline: Timeline, video: VideoTables, folder: ExportFolder, *, adapter: str, suffix: str
) -> None:
    import opentimelineio as otio

    text = otio.adapters.write_to_string(timeline, adapter)
    if adapter == "cmx_3600":
        drop = timeline.duration().rate in _DROP
        title, _, events = text.partition("\n\n")
        text = f"{title}\nFCM: {'DROP FRAME' if drop else 'NON-DROP FRAME'}\n\n{events}"
    with folder.write(f"{relative_file(video.video_id)}.{suffix}") as path:
        path.write_text(text, "utf-8", newline="\n")


def _timeline(video: VideoTables, *, timecode: bool) -> Timeline | None:
    """The shots in the film's frames, from its first picture on; None without shots or a frame rate.

    ``timecode``: in frames of a rate that has a timecode (SMPTE ST 12-1), whatever the film's is.
    """
    from opentimelineio.opentime import RationalTime, TimeRange
    from opentimelineio.schema import Gap, Timeline, Track

    shots, fps = video.tables.get("scenes"), video.facts.get("fps")
    if shots is None or not fps:
        return None
    rate = timecode_rate(fps, always=timecode)
    track = Track("V", kind="Video")
    rows = shots.select(["scene", "start_seconds", "end_seconds"]).to_pylist()
    first, last = rows[0]["start_seconds"], 0
    for row in rows:
        start, end = (round((row[key] - first) * rate) for key in ("start_seconds", "end_seconds"))
        if end <= start:
            continue  # shorter than a frame of this rate
        if start > last:
            track.append(
                Gap(source_range=TimeRange(RationalTime(last, rate), RationalTime(start - last, rate)))
            )
        span = TimeRange(RationalTime(start, rate), RationalTime(end - start, rate))
        track.append(_clip(video, row, span))
        last = end
    timeline = Timeline(one_line(video.video_id))
    timeline.tracks.append(track)
    return timeline if last else None


def _clip(video: VideoTables, row: dict[str, Any], span: Any) -> Clip:
    from opentimelineio.schema import Clip, ExternalReference

    film = PurePath(video.facts["path"])
    edl = {"reel": "AX", "comments": [f"SHOT {row['scene']}"]}  # AX: a file, not a tape
    return Clip(
        one_line(film.name),
        media_reference=ExternalReference(quote(video.raw_path)),
        source_range=span,
        metadata={"marquee": row, "cmx_3600": edl},
    )


def timecode_rate(fps: float, *, always: bool) -> float:
    """The exact rate that a header's figure stands for.

    ``always``: one with a timecode, for a film at another rate a multiple or part of that, or nearly so.
    """
    off, far, rate = min((*_apart(rate, fps), rate) for rate in _TIMECODE_RATES)
    return rate if always or (off < _SAME_RATE and not far) else fps


def _apart(rate: float, fps: float) -> tuple[float, float]:
    """By what share a rate is off the nearest whole multiple or part of another; how far that is from 1."""
    factor = max(1, round(rate / fps)) if rate > fps else 1 / round(fps / rate)
    return round(abs(rate / (fps * factor) - 1), 6), abs(math.log(factor))


write_otio = each(_write_otio, timed=True)
write_edl = each(_write_edl, timed=True)
