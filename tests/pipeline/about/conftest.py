"""A store whose every row is written by hand, with the tables of real experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extract.fingerprint import fingerprint
from extract.ops.picture.descriptors import DESCRIPTOR_NAMES
from extract.registry import make_expert
from extract.tables import to_batch
from extract.types import Failure
from pipeline.about.readme import write_readme
from pipeline.store.coverage import write_derived
from pipeline.store.footer import PartHeader, VideoState
from pipeline.store.layout import Store, Target
from pipeline.store.parts import VideoRows, merge_part
from pipeline.store.videos import update_videos
from tests.pipeline.conftest import Kit

Rows = Mapping[str, Sequence[dict[str, Any]] | None]  # by video; None: it failed


def write_tables(
    store: Store,
    expert: str,
    options: Mapping[str, Any],
    tables: Mapping[str, Rows],
    *,
    sha256: str = "ab" * 32,
    random_seed: int | None = None,
) -> Target:
    """Rows by table and video; a video without rows is absent, one of None failed."""
    made = make_expert(expert, options)
    weights = {file.role: sha256 for file in made.weights()}
    name, made_of = fingerprint(
        made, weights=weights, upstream={}, precision="float32", dtype="float32", random_seed=random_seed
    )
    notes = {"weights": {file.role: {"file": file.name, "published": True} for file in made.weights()}}
    target = Target(expert, name, tuple(made.tables()), (), made_of, notes)
    for table, spec in made.tables().items():
        header = PartHeader(target, table, 0, spec, "float32")
        parts = []
        for video_id, rows in tables[table].items():
            if rows is None:
                failure = Failure("decode", "MediaError", "moov atom not found")
                parts.append(VideoRows(video_id, VideoState("failed", size_bytes=3, failure=failure)))
            elif not rows:
                parts.append(VideoRows(video_id, VideoState("absent", reason="no speech", size_bytes=3)))
            else:
                batch = to_batch(rows, spec=spec, video_id=video_id, dtype="float32")
                parts.append(VideoRows(video_id, VideoState("ok", size_bytes=3), iter([batch])))
        merge_part(store, header, parts)
    return target


def shot(number: int, start: float, end: float) -> dict[str, Any]:
    frames = {"start_frame": 0, "end_frame": 2, "keyframe": 1, "keyframe_pts": 1}
    times = {"keyframe_start_seconds": start, "keyframe_end_seconds": end}
    return {"scene": number, "start_seconds": start, "end_seconds": end, **frames, **times}


def level(number: int, start: float, end: float, *, rms: float, luma: float, motion: float) -> dict[str, Any]:
    vector = np.zeros(len(DESCRIPTOR_NAMES), np.float32)
    vector[DESCRIPTOR_NAMES.index("rms_mean")] = rms
    vector[DESCRIPTOR_NAMES.index("luma_mean")] = luma
    return {
        "scene": number, "start_seconds": start, "end_seconds": end, "shot_length_seconds": end - start,
        "colour_variance": 1.0, "lighting_key": 0.5, "motion_content": motion, "embedding": vector,
    }  # fmt: skip


def speech(start: float, end: float, language: str, *, hallucination: bool = False) -> dict[str, Any]:
    figures = dict.fromkeys(
        ("language_probability", "avg_logprob", "no_speech_prob", "compression_ratio"), 0.5
    )
    times = {"start_seconds": start, "end_seconds": end}
    return {"text": "hello", "language": language, "hallucination": hallucination, **times, **figures}


@pytest.fixture
def films(kit: Kit) -> Store:
    """``a``: 10 s, four shots, speech, half of it silent; ``b``: one shot, absent speech; ``c`` failed."""
    kit.add("a.mp4", "b.mp4", "c.mp4")
    plan, store = kit.plan(), kit.store()
    shots = {
        "a": [shot(i, *x) for i, x in enumerate([(0, 1), (1, 3), (3, 5), (5, 10)])],
        "b": [shot(0, 0, 6)],
    }
    scenes = write_tables(store, "scenes", {"detector": "content"}, {"scenes": {**shots, "c": None}})
    levels = {
        "a": [level(0, 0, 5, rms=0, luma=0.2, motion=0.4), level(1, 5, 10, rms=0.1, luma=0.6, motion=np.nan)],
        "b": [level(0, 0, 6, rms=np.nan, luma=0.5, motion=0.1)],
    }
    video = {
        "start_seconds": 0.0, "end_seconds": 6.0, "scenes": 1, "average_shot_length_seconds": 1.0,
        "shot_length_std_seconds": 1.0, "colour_variance": 1.0, "lighting_key": 1.0, "motion_content": 0.1,
        "embedding": np.zeros(len(DESCRIPTOR_NAMES), np.float32),
    }  # fmt: skip
    whole = {"a": [video], "b": [video], "c": None}
    lowlevel = write_tables(
        store, "lowlevel", {}, {"lowlevel": {**levels, "c": None}, "lowlevel_video": whole}
    )
    said = [
        speech(0, 2, "en"),
        speech(1, 3, "en"),
        speech(4, 5, "fr"),
        speech(5, 9, "de", hallucination=True),
    ]
    whisper = write_tables(store, "whisper", {}, {"whisper": {"a": said, "b": [], "c": None}})
    update_videos(store, 0, {"a": {"duration_seconds": 10.0}, "b": {"duration_seconds": 6.0}})
    targets = [lowlevel, scenes, whisper]
    kit.record(store, *targets)
    counts = write_derived(store, plan.shards, targets)
    write_readme(store, targets, counts.rows, 3)
    return store


@pytest.fixture
def folder(films: Store) -> Path:
    assert isinstance(films.root, Path)
    return films.root
