"""Stores of one film whose shots, titles and speech a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from pipeline.store.layout import Store
from pipeline.store.videos import update_videos
from tests.pipeline.about.conftest import shot, speech, write_tables
from tests.pipeline.conftest import Kit
from tests.pipeline.report.conftest import films, title, titles

__all__ = ["films", "titles"]

Span = tuple[float, float]
RATES = {"23.976": 24000 / 1001, "25": 25.0, "29.97": 30000 / 1001, "59.94": 60000 / 1001}
HOSTILE = (
    "a --> b",
    "00:00:01,000 --> 00:00:02,000",
    "at 0:00:01.50 and 0:00:02.50",
    "<b>bold</b> & <script>alert(1)</script>",
    "]]> <!-- &amp; 'quoted' \"twice\"",
    "two\n\nlines",
    "1999",
    "{\\p1}m 0 0",
    "C:\\News\\hour",
    "a\x00b\x0bc\ufffe",
    "=1+1",
    "Élise 雪",
    "می‌خواهم 👨‍👩‍👧",  # joiners are part of the words
    "\u202eשלום\u200f!",
)

Make = Callable[..., Store]


@pytest.fixture
def film(kit: Kit) -> Make:
    """Makes a store of the video ``a`` (or another id); ``experts``: rows of others by table."""

    def make(
        shots: Sequence[Span] = ((0.0, 1.0),),
        *,
        said: Mapping[str, Span] | None = None,
        written: Mapping[str, Span] | None = None,
        fps: float | None = 25.0,
        name: str = "a",
        experts: Mapping[str, Mapping[str, Sequence[dict[str, Any]]]] | None = None,
    ) -> Store:
        kit.add(f"{name}.mp4")
        store, (shard,) = kit.store(), kit.plan().shards
        rows: dict[str, Sequence[dict[str, Any]]] = {
            "scenes": [shot(number, *span) for number, span in enumerate(shots)],
            "whisper": [{**speech(*span, "en"), "text": text} for text, span in (said or {}).items()],
            "ocr": [title(text, *span) for text, span in (written or {}).items()],
        }
        options = {"scenes": {"detector": "content"}}
        targets = [
            write_tables(store, expert, options.get(expert, {}), {table: {name: own[table]} for table in own})
            for expert, own in {**{table: {table: rows[table]} for table in rows}, **(experts or {})}.items()
        ]
        store.record_run(targets, options={}, versions={}, started="2024", root=str(kit.videos))
        update_videos(store, shard.index, {name: {"duration_seconds": shots[-1][1], "fps": fps}})
        return store

    return make
