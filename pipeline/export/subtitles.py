"""Speech and titles as subtitles: SubRip (SRT) and WebVTT, written by pysubs2.

Subtitle files have no way to quote a text. What their readers would take for a time, a tag or an escape is
written with a character that looks alike; WebVTT has entities for ``&``, ``<`` and ``>``.
"""

from __future__ import annotations

import html
import re
from functools import partial
from typing import TYPE_CHECKING, Literal

from pipeline.export.chosen import each
from pipeline.export.folder import ExportFolder
from pipeline.export.texts import one_line
from pipeline.report.lanes import Stretches, speech, titles
from pipeline.report.video_tables import VideoTables
from pipeline.storage.names import relative_file

if TYPE_CHECKING:
    from pysubs2 import SSAFile

Kind = Literal["srt", "vtt"]

# Titles are found on single frames, which nobody could read. Netflix, Timed Text Style Guide: General
# Requirements, section 1: at least 5/6 of a second.
_LEAST_TITLE_MS = 833

_ESCAPE = re.compile(r"\\(?=[hnN])")  # pysubs2 would break the line
_OVERRIDE = re.compile(r"\{(?=\s*\\)")  # a style of SubStation Alpha, which many players of SRT obey
_TAG = re.compile(r"<(?=\s*/?\s*[a-zA-Z])")
_TIME = re.compile(r"(?<=\d):(?=\d\d)")


def _write(video: VideoTables, folder: ExportFolder, *, kind: Kind) -> None:
    lanes = {"speech": ("whisper", speech, 0), "titles": ("ocr", titles, _LEAST_TITLE_MS)}
    for name, (table, lane, least_ms) in lanes.items():
        if table in video.tables:
            subtitles = _subtitles(lane(video.tables[table]), kind, least_ms)
            if subtitles:
                with folder.write(f"{name}/{relative_file(video.video_id)}.{kind}") as path:
                    subtitles.save(str(path), format_=kind, keep_ssa_tags=True)


def _subtitles(lane: Stretches, kind: Kind, least_ms: int) -> SSAFile:
    from pysubs2 import SSAEvent, SSAFile

    subtitles = SSAFile()
    for start, end, text in zip(lane.starts, lane.ends, lane.texts, strict=True):
        line = plain(text, kind)
        if line:
            first, last = round(start * 1000), round(end * 1000)
            subtitles.append(SSAEvent(first, max(last, first + least_ms), line))
    return subtitles


def plain(text: str, kind: Kind) -> str:
    """A text as one line that every reader of this format takes for that text."""
    line = " ".join(one_line(text).split())
    line = _ESCAPE.sub("＼", _OVERRIDE.sub("｛", line))
    if len(_TIME.findall(line)) > 1:
        line = _TIME.sub("∶", line)
    if kind == "vtt":
        return html.escape(line, quote=False)
    return _TAG.sub("‹", line.replace("-->", "→"))


write_srt = each(partial(_write, kind="srt"), timed=True)
write_vtt = each(partial(_write, kind="vtt"), timed=True)
