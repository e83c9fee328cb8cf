"""A store of two films whose every row is written by hand, with pictures, titles and speech."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from pipeline.store.layout import Store
from pipeline.store.videos import update_videos
from tests.pipeline.about.conftest import shot, speech, write_tables
from tests.pipeline.conftest import Kit

FILM = "films/a"


def still(number: int, start: float, colour: tuple[int, int, int]) -> dict[str, Any]:
    written = io.BytesIO()
    Image.new("RGB", (64, 36), colour).save(written, "JPEG")
    times = {"start_seconds": start, "end_seconds": start + 0.04}
    picture = {"jpeg": written.getvalue(), "width": 64, "height": 36, "colours": list(colour) * 5}
    return {"scene": number, "keyframe": True, **times, **picture}


def title(text: str, start: float, end: float, *, scene: int = 0) -> dict[str, Any]:
    where = {"scene": scene, "line": 0, "script": "latin", "score": 0.9, "box": [0.0] * 8}
    return {"start_seconds": start, "end_seconds": end, "text": text, "corrected": text, **where}


@pytest.fixture
def titles() -> list[str]:
    """What film ``a`` says on screen; a test may put something else here."""
    return ["COMING SOON", "Élise"]


@pytest.fixture
def films(kit: Kit, titles: list[str]) -> Store:
    """``films/a``: four shots in 20 s; ``films/b``: one shot, no words; ``films/c``: failed."""
    kit.add("films/a.mp4", "films/b.mp4", "films/c.mp4")
    store, (shard,) = kit.store(), kit.plan().shards
    cuts = [0.0, 4.0, 9.0, 15.0, 20.0]
    shots = [shot(n, cuts[n], cuts[n + 1]) for n in range(4)]
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (240, 240, 240)]
    stills = [still(n, cuts[n] + 2, colours[n]) for n in range(4)]
    words = [title(text, 5.0 + 4 * n, 5.1 + 4 * n, scene=n) for n, text in enumerate(titles)]
    said = [{**speech(1.0, 3.0, "en"), "text": "Who goes there?"}]
    rows: dict[str, Any] = {
        "scenes": {FILM: shots, "films/b": [shot(0, 0.0, 8.0)], "films/c": None},
        "thumbnails": {FILM: stills, "films/b": [still(0, 4.0, (9, 9, 9))], "films/c": None},
        "ocr": {FILM: words, "films/b": [], "films/c": None},
        "whisper": {FILM: said, "films/b": [], "films/c": []},
    }
    options = {"scenes": {"detector": "content"}}
    targets = [write_tables(store, name, options.get(name, {}), {name: own}) for name, own in rows.items()]
    store.record_run(targets, options={}, versions={}, started="2024", root=str(kit.videos))
    update = {"duration_seconds": 20.0, "fps": 25.0, "width": 640, "height": 360, "frames": 500}
    update_videos(store, shard.index, {FILM: update, "films/b": {"duration_seconds": 8.0}})
    return store
