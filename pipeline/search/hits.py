"""What a search found, and as which files it is written."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.search.vector_rows import Moment
from pipeline.search.word_index import FoundLine
from pipeline.storage.atomic import atomic
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.names import check_suffix


@dataclass(frozen=True)
class Hit:
    """A moment of a video that answers ``query``; ``why`` is the line found, or the cosine in words.

    ``score`` is a cosine; None for words, whose order says as much.
    """

    query: str
    video_id: str
    start_seconds: float
    end_seconds: float
    score: float | None
    why: str


@dataclass(frozen=True)
class Answer:
    """One search of a call and all that it found, the best first."""

    query: str
    hits: tuple[Hit, ...]


def answer_of_lines(query: str, lines: Iterable[FoundLine]) -> Answer:
    hits = (
        Hit(query, one.video_id, one.start_seconds, one.end_seconds, None, f"{one.kind}: {one.text}")
        for one in lines
    )
    return Answer(query, tuple(hits))


def answer_of_moments(query: str, moments: Iterable[Moment], table: str) -> Answer:
    hits = (
        Hit(query, one.video_id, one.start_seconds, one.end_seconds, round(one.cosine, 4), f"like in {table}")
        for one in moments
    )
    return Answer(query, tuple(hits))


def check_name(path: Path) -> None:
    """Raises UsageError for a name that does not say what to write."""
    check_suffix(path, *_WRITERS)


def write_hits(path: Path, hits: Sequence[Hit]) -> None:
    """As .csv or .json, whole or not at all. Raises UsageError for another suffix, StoreError."""
    check_name(path)
    text = _WRITERS[path.suffix](hits)
    with atomic(path) as temporary:
        temporary.write_text(text, "utf-8", newline="")


def _json(hits: Sequence[Hit]) -> str:
    return json.dumps([asdict(hit) for hit in hits], indent=1, ensure_ascii=False) + "\n"


def _csv(hits: Sequence[Hit]) -> str:
    written = io.StringIO()
    write_csv(written, Hit.__dataclass_fields__, (asdict(hit).values() for hit in hits))
    return written.getvalue()


_WRITERS: Mapping[str, Callable[[Sequence[Hit]], str]] = {".csv": _csv, ".json": _json}
