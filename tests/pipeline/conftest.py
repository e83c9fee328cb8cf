"""A small made-up expert, so that stores can be filled without decoding anything."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from extract.expert import Column, Embedding, TableSpec
from extract.fingerprint import canonical_json, digest
from extract.ledger import Failure
from extract.tables import to_batch
from pipeline.footer import PartHeader, VideoState
from pipeline.parts import VideoRows, merge_part
from pipeline.plan import Plan, Shard, plan
from pipeline.scan import scan
from pipeline.store import Store, Target, open_store

SPEC = TableSpec((Column("text", "string", "what was read"),), Embedding((4,)))


class Kit:
    """Builds folders of inputs, stores and parts; rows of a video depend on its id alone."""

    def __init__(self, folder: Path) -> None:
        self.videos = folder / "clips"
        self.out = folder / "out"
        self.videos.mkdir()

    def add(self, *names: str | bytes, size: int = 3) -> None:
        for name in names:
            path = self.videos / (name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * size)

    def store(self) -> Store:
        return Store(self.out) if self.out.exists() else open_store(self.out, create=True)

    def plan(self, *, shard_size: int = 64) -> Plan:
        return plan(scan(self.videos, out=self.out), self.store(), shard_size=shard_size)

    def target(self, expert: str = "clip", *, upstream: Sequence[Target] = (), **settings: Any) -> Target:
        made_of = {
            "expert": expert,
            "settings": settings,
            "upstream": {parent.expert: parent.fingerprint for parent in upstream},
        }
        made_of_text = canonical_json(made_of)
        tables = ("ocr_text", "asr_text") if expert == "text" else (expert,)
        names = tuple(parent.expert for parent in upstream)
        return Target(expert, digest(made_of_text), tables, names, made_of)

    def header(self, target: Target, shard: int = 0, table: str | None = None) -> PartHeader:
        return PartHeader(target, table or target.tables[0], shard, SPEC)

    def batches(self, video_id: str, *, step: int = 3) -> Iterator[pa.RecordBatch]:
        """1 to 9 rows, cut into batches of ``step``."""
        random = np.random.default_rng(zlib.crc32(video_id.encode()))
        rows = [
            {
                "start_seconds": float(i),
                "end_seconds": i + 0.5,
                "text": f"{video_id} {i}",
                "embedding": random.normal(size=4),
            }
            for i in range(int(random.integers(1, 10)))
        ]
        for first in range(0, len(rows), step):
            yield to_batch(rows[first : first + step], spec=SPEC, video_id=video_id, first_row=first)

    def ok(self, video_id: str, *, step: int = 3, size: int | None = 3) -> VideoRows:
        return VideoRows(video_id, VideoState("ok", size_bytes=size), self.batches(video_id, step=step))

    def absent(self, video_id: str) -> VideoRows:
        return VideoRows(video_id, VideoState("absent", reason="no audio stream", size_bytes=3))

    def failed(self, video_id: str, *, stage: str = "decode", attempts: int = 1) -> VideoRows:
        why = Failure(stage, "MediaError", "moov atom not found")
        return VideoRows(video_id, VideoState("failed", size_bytes=3, attempts=attempts, failure=why))

    def fill(self, store: Store, shards: Sequence[Shard], *targets: Target) -> None:
        """All rows of these shards, and the run's record."""
        for shard in shards:
            for target in targets:
                for table in target.tables:
                    rows = [self.ok(v.video_id, size=v.size_bytes) for v in shard.videos]
                    merge_part(store, self.header(target, shard.index, table), rows)
        self.record(store, *targets)

    def record(self, store: Store, *targets: Target) -> None:
        store.record_run(targets, options={}, versions={}, started="2024-01-01T00:00:00Z")


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path)


@pytest.fixture(scope="session")
def real_ffmpeg() -> str:
    """The path of an FFmpeg that prepare can use."""
    from extract.errors import MissingDependency
    from pipeline.ffmpeg import find_ffmpeg

    try:
        return find_ffmpeg()
    except MissingDependency as error:
        pytest.skip(str(error))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts an ``ffmpeg`` first on the PATH that runs these lines when it should encode."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def install(lines: str) -> None:
        path = tmp_path / "bin" / "ffmpeg"
        asked = '*" -encoders"|*" long") echo libx265 libopus fps_mode; exit 0'
        path.write_text(f'#!/bin/sh\ncase "$*" in {asked};; esac\n{lines}\n')
        path.chmod(0o755)

    return install
