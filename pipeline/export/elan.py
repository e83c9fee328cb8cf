"""ELAN annotation files (EAF), written by pympi: a tier for each thing that a store knows over time.

Sloetjes, H., and Wittenburg, P. (2008): Annotation by category: ELAN and ISO DCR. LREC. Annotations of a tier
must not overlap, and times are whole milliseconds.
"""

from __future__ import annotations

import math
import mimetypes
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from urllib.parse import quote

import pyarrow as pa

from extract.types import Column
from pipeline.export.chosen import each
from pipeline.export.folder import ExportFolder
from pipeline.report.lanes import Stretches, speech, texts_of, titles
from pipeline.report.video_tables import VideoTables
from pipeline.storage.names import relative_file

Span = tuple[int, int, str]  # start and end in milliseconds, text
Tier = tuple[str, str, Sequence[Span]]  # name, meaning

_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2
_OWN = frozenset({"scenes", "ocr", "whisper"})  # tables with a tier of their own


def _write(video: VideoTables, folder: ExportFolder) -> None:
    from pympi import Eaf

    found = [tier for tier in _tiers(video) if tier[2]]
    if not found:
        return
    document = Eaf(author="Marquee")
    document.remove_tier("default")
    film = PurePath(video.facts["path"])
    kind = mimetypes.guess_type(film.name)[0] or "video/*"
    # ELAN looks beside its file, and asks where the film is not there.
    address = f"./{quote(video.raw_path.rpartition(b'/')[2])}"
    document.add_linked_file(address, relpath=address, mimetype=kind)
    for name, meaning, spans in found:
        for number, layer in enumerate(without_overlaps(spans), 1):
            tier = name if number == 1 else f"{name} {number}"
            document.add_tier(tier)
            document.add_property(f"meaning of {tier}", meaning)
            for start, end, text in layer:
                document.add_annotation(tier, start, end, text)
    with folder.write(f"{relative_file(video.video_id)}.eaf") as path:
        document.to_file(path)


def _tiers(video: VideoTables) -> Iterator[Tier]:
    tables = video.tables
    if "scenes" in tables:
        texts = [str(number) for number in tables["scenes"]["scene"].to_pylist()]
        yield "Shots", "shots by their numbers in the scenes table", _spans(tables["scenes"], texts)
    if "ocr" in tables:
        yield _of_lane(titles(tables["ocr"]))
    if "whisper" in tables:
        yield _of_lane(speech(tables["whisper"]))
    for name in sorted(tables.keys() - _OWN):
        for column in video.columns[name]:
            texts = _texts(tables[name], column)
            label = f"{name} {column.name}".replace("_", " ").capitalize()
            yield label, column.meaning, _spans(tables[name], texts)


def _of_lane(lane: Stretches) -> Tier:
    rows = zip(lane.starts, lane.ends, lane.texts, strict=True)
    return lane.name, lane.about, [_span(*row) for row in rows]


def _texts(table: pa.Table, column: Column) -> list[str]:
    """The cells as people read them; empty where there is none, and for all other types."""
    if column.type in ("string", "list<string>"):
        return [texts_of(cell) for cell in table[column.name].to_pylist()]
    if column.type in ("float32", "float64"):
        cells = table[column.name].to_pylist()
        return ["" if cell is None or math.isnan(cell) else f"{cell:.4g}" for cell in cells]
    return [""] * len(table)


def _spans(table: pa.Table, texts: Iterable[str]) -> list[Span]:
    """Rows of one interval (the faces of a frame) are one annotation; what all say is said once."""
    found: dict[tuple[float, float], list[str]] = {}
    starts, ends = table["start_seconds"].to_pylist(), table["end_seconds"].to_pylist()
    for start, end, text in zip(starts, ends, texts, strict=True):
        if text:
            found.setdefault((start, end), []).append(text)
    joined = {interval: "; ".join(c if len(set(c)) > 1 else c[:1]) for interval, c in found.items()}
    return [_span(*interval, text) for interval, text in joined.items()]


def _span(start_seconds: float, end_seconds: float, text: str) -> Span:
    start = max(0, round(start_seconds * 1000))
    return start, max(start + 1, round(end_seconds * 1000)), _NOT_XML.sub("", text)


def without_overlaps(spans: Iterable[Span]) -> list[list[Span]]:
    """As few lists as hold all spans without an overlap in any, each ascending."""
    layers: list[list[Span]] = []
    for span in sorted(spans):
        free = next((layer for layer in layers if layer[-1][1] <= span[0]), None)
        if free is None:
            layers.append([span])
        else:
            free.append(span)
    return layers


write_eaf = each(_write, timed=True)
