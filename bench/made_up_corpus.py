"""A store of many videos that nobody filmed, for measuring what is made of a whole corpus.

Every video has shots, a picture and descriptors of each, titles and speech; one in fifty failed, one in seven
has no speech. The same number of videos is always the same store. The films themselves do not exist.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from extract.expert import TableSpec
from extract.fingerprint import canonical_json, digest
from extract.ops.picture.descriptors import DESCRIPTOR_NAMES
from extract.registry import make_expert
from extract.tables import to_batch
from extract.types import Failure
from pipeline.storage.location import location
from pipeline.storage.scan import Input, Scan
from pipeline.store.coverage import write_derived
from pipeline.store.footer import PartHeader, VideoState
from pipeline.store.layout import Store, Target, open_store
from pipeline.store.parts import VideoRows, merge_part
from pipeline.store.videos import update_videos
from pipeline.work.plan import plan

SHOT_SECONDS = 2.5
FAILED, SPEECHLESS = 50, 7  # one video in so many
WORDS = (
    "this", "summer", "a", "storm", "is", "coming", "the", "last", "signal", "from", "quiet", "harbour",
    "nobody", "returns", "alone", "white", "mountain", "every", "secret", "has", "its", "price",
    "before", "dawn", "they", "must", "choose", "one", "city", "under", "siege", "only", "in", "cinemas",
    "soon",
)  # fmt: skip
LANGUAGES = ("en", "en", "en", "es", "fr", "de", "ja")

Rows = list[dict[str, Any]]


def write_corpus(folder: Path, videos: int, *, shots: int = 12, shard_size: int = 256) -> Store:
    """A new store of so many videos, of half to one and a half times ``shots``."""
    store = open_store(location(folder), create=True)
    names = tuple(sorted(f"{number % 97:02d}/film {number:06d}.mp4".encode() for number in range(videos)))
    films = folder.parent / "films"
    planned = plan(Scan(films, tuple(Input(name, None) for name in names), ()), store, shard_size=shard_size)
    experts = {name: make_expert(name, {}) for name in ("scenes", "thumbnails", "ocr", "whisper", "lowlevel")}
    targets = {}
    for name, expert in experts.items():
        made_of = {"expert": name, "made up": videos, "shots": shots}
        targets[name] = Target(name, digest(canonical_json(made_of)), tuple(expert.tables()), (), made_of)
    for shard in planned.shards:
        drawn = {video.video_id: _Film(video.video_id, shots).tables() for video in shard.videos}
        for name, expert in experts.items():
            for table, spec in expert.tables().items():
                header = PartHeader(targets[name], table, shard.index, spec, "float16")
                rows = [
                    _stored(key, None if film is None else film.get(table, []), spec)
                    for key, film in drawn.items()
                ]
                merge_part(store, header, rows)
        lengths = {key: film["scenes"][-1]["end_seconds"] for key, film in drawn.items() if film}
        facts = {"fps": 24.0, "width": 1280, "height": 720}
        update_videos(
            store, shard.index, {key: {"duration_seconds": s, **facts} for key, s in lengths.items()}
        )
    store.record_run(list(targets.values()), options={}, versions={}, started="2024", root=str(films))
    write_derived(store, planned.shards, list(targets.values()))
    return store


def _stored(video_id: str, rows: Rows | None, spec: TableSpec) -> VideoRows:
    if rows is None:
        why = Failure("decode", "MediaError", "moov atom not found: the file is cut off")
        return VideoRows(video_id, VideoState("failed", failure=why))
    if not rows:
        return VideoRows(video_id, VideoState("absent", reason="nothing there"))
    return VideoRows(video_id, VideoState("ok"), iter([to_batch(rows, spec=spec, video_id=video_id)]))


class _Film:
    def __init__(self, video_id: str, shots: int) -> None:
        self.number = int(video_id.split()[-1])
        self._random = np.random.default_rng(self.number)
        count = int(self._random.integers(shots // 2, shots + shots // 2 + 1))
        lengths = self._random.gamma(2.0, SHOT_SECONDS / 2, max(1, count)) + 0.2
        self._cuts = [0.0, *np.cumsum(lengths).round(3).tolist()]
        self._light, self._motion = self._random.uniform(0.1, 0.9, 2)

    def tables(self) -> dict[str, Rows] | None:
        """Rows by table; None of a video that failed."""
        if self.number % FAILED == FAILED - 1:
            return None
        made: dict[str, Rows] = {"scenes": [], "thumbnails": [], "ocr": [], "whisper": [], "lowlevel": []}
        for shot in range(len(self._cuts) - 1):
            here = {"scene": shot, "start_seconds": self._cuts[shot], "end_seconds": self._cuts[shot + 1]}
            middle = (here["start_seconds"] + here["end_seconds"]) / 2
            frame = {"scene": shot, "start_seconds": middle, "end_seconds": middle + 1 / 24}
            made["scenes"].append(here | self._frames(here))
            made["thumbnails"].append(frame | _pictures()[int(self._random.integers(len(_pictures())))])
            made["lowlevel"].append(here | self._levels(here))
            if shot % 3 == 0:
                text = self._sentence(2, 4).upper()
                made["ocr"].append(frame | _line(text))
            elif self.number % SPEECHLESS:
                made["whisper"].append(self._said(here))
        return made

    def _sentence(self, least: int, most: int) -> str:
        return " ".join(self._random.choice(WORDS, int(self._random.integers(least, most + 1))).tolist())

    def _frames(self, here: dict[str, Any]) -> dict[str, Any]:
        first, end = (round(24 * here[key]) for key in ("start_seconds", "end_seconds"))
        middle = (first + end) // 2
        times = {"keyframe_start_seconds": middle / 24, "keyframe_end_seconds": (middle + 1) / 24}
        return {"start_frame": first, "end_frame": end, "keyframe": middle, "keyframe_pts": middle, **times}

    def _said(self, here: dict[str, Any]) -> dict[str, Any]:
        names = ("language_probability", "avg_logprob", "no_speech_prob", "compression_ratio")
        spoken = {"text": self._sentence(4, 9), "language": LANGUAGES[self.number % len(LANGUAGES)]}
        when = {key: here[key] for key in ("start_seconds", "end_seconds")}
        return {**spoken, "hallucination": False, **when, **dict.fromkeys(names, 0.5)}

    def _levels(self, here: dict[str, Any]) -> dict[str, Any]:
        vector = np.zeros(len(DESCRIPTOR_NAMES), np.float32)
        vector[DESCRIPTOR_NAMES.index("rms_mean")] = 0.1
        light, motion = np.clip(self._random.normal((self._light, self._motion), 0.08), 0, 1).tolist()
        vector[DESCRIPTOR_NAMES.index("luma_mean")] = light
        levels = {"colour_variance": 1e4, "lighting_key": 0.5 * light, "motion_content": motion}
        length = here["end_seconds"] - here["start_seconds"]
        return {"shot_length_seconds": length, **levels, "embedding": vector}


def _line(text: str) -> dict[str, Any]:
    return {"line": 0, "text": text, "corrected": text, "script": "latin", "score": 0.9, "box": [0.0] * 8}


@cache
def _pictures() -> Sequence[dict[str, Any]]:
    """Rows of ``thumbnails`` without times: blurred clouds of two colours, 160x90."""
    random, found = np.random.default_rng(0), []
    for _ in range(48):
        small = Image.fromarray(random.integers(0, 256, (4, 6, 3), np.uint8))
        picture, written = small.resize((160, 90), Image.Resampling.BICUBIC), io.BytesIO()
        picture.save(written, "JPEG", quality=80)
        bands = np.asarray(picture.resize((1, 5), Image.Resampling.BOX), float).ravel().tolist()
        size = {"width": picture.width, "height": picture.height}
        found.append({"keyframe": True, **size, "jpeg": written.getvalue(), "colours": bands})
    return found
