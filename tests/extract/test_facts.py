"""One list of what is measured of every video: decoding fills it, the store and its page follow it."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from extract.decoder.messages import DecodeJob
from extract.decoder.reader import read_video
from extract.detectors.transnetv2 import LocalPredictor
from extract.types import FACTS
from pipeline.store.videos import VIDEOS_SCHEMA

ROOT = Path(__file__).parents[2]
NAMES = [fact.name for fact in FACTS]


def no_network(windows: NDArray[np.uint8]) -> NDArray[np.float32]:
    raise AssertionError("another detector was asked for")


def test_passes_over_picture_and_sound_measure_every_fact(small_trailers: list[Path], tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    measured = set()
    for path in (small_trailers[0], tmp_path / "sound.wav"):
        experts = {"scenes": {"detector": "content"}, "spectrogram": {}}
        job = DecodeJob(
            path=bytes(path), experts=experts, shot_service="scenes", shot_options=experts["scenes"]
        )
        facts, _ = read_video(job, lambda message: None, LocalPredictor(no_network), lambda: None)
        assert list(facts) == NAMES
        measured |= {name for name, value in facts.items() if value is not None}
    unmeasured = [name for name in NAMES if name not in measured | {"note"}]
    assert not unmeasured, f"FACTS lists {unmeasured}: add what measures them, to MediaInfo or to the reader"


def test_videos_has_a_column_for_every_fact() -> None:
    assert VIDEOS_SCHEMA.names[-len(FACTS) :] == NAMES


def test_the_store_page_tells_every_fact() -> None:
    page = (ROOT / "docs" / "store.md").read_text("utf-8")
    rows = [f"| `{fact.name}` | {fact.type} | {fact.meaning} |" for fact in FACTS]
    missing = [row for row in rows if row not in page]
    assert not missing, "add to the table of videos in docs/store.md:\n" + "\n".join(missing)
