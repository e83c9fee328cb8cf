"""A small made-up expert, so that stores can be filled without decoding anything."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from extract.expert import Column, Embedding, TableSpec
from extract.fingerprint import canonical_json, digest
from extract.tables import to_batch
from extract.types import Failure
from pipeline.storage.location import Location, is_remote, location
from pipeline.storage.scan import Scan, scan
from pipeline.store.footer import PartHeader, VideoState
from pipeline.store.layout import Store, Target, open_store
from pipeline.store.parts import VideoRows, merge_part
from pipeline.store.videos import Shard
from pipeline.work.plan import Plan, plan

if TYPE_CHECKING:
    from upath import UPath

SPEC = TableSpec((Column("text", "string", "what was read"),), Embedding((4,)))


class Kit:
    """Builds folders of inputs, stores and parts; rows of a video depend on its id alone."""

    def __init__(self, folder: Path) -> None:
        self.videos = folder / "clips"
        self.out: Location = folder / "out"
        self.videos.mkdir()

    def add(self, *names: str | bytes, size: int = 3) -> None:
        for name in names:
            path = self.videos / (name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * size)

    def store(self) -> Store:
        return Store(self.out) if self.out.exists() else open_store(self.out, create=True)

    def plan(self, *, shard_size: int = 64) -> Plan:
        return plan(self.scan(), self.store(), shard_size=shard_size)

    def scan(self) -> Scan:
        return scan(self.videos, out=self.out)

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
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server of our own on loopback (moto)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def s3_environment(monkeypatch: pytest.MonkeyPatch, s3_server: str) -> None:
    """As a user sets it; nothing of the machine's own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def bucket(s3_environment: None, request: pytest.FixtureRequest) -> UPath:
    """An empty bucket of this test's own."""
    place = location(f"s3://test-{zlib.crc32(request.node.nodeid.encode()):08x}")
    assert is_remote(place)
    place.fs.mkdir(place.path)
    return place


@pytest.fixture(scope="session")
def real_ffmpeg() -> str:
    """The path of an FFmpeg that prepare can use."""
    from extract.errors import MissingDependency
    from pipeline.copies.ffmpeg import find_ffmpeg

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


@pytest.fixture(scope="session")
def videos(small_trailers: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight files: copies of the small trailers, one of them with sound, and one that is no video."""
    from bench.demo_trailers import Shot, Trailer, render_trailer

    folder = tmp_path_factory.mktemp("videos")
    for i in range(6):
        shutil.copy(small_trailers[i % 3], folder / f"video {i}.mp4")
    render_trailer(folder / "loud.mp4", Trailer("loud", (Shot(1.5, "waves"), Shot(2.0, "bricks"))))
    (folder / "text.mp4").write_text("not a film")
    (folder / "notes.txt").write_text("not an input")
    return folder


@pytest.fixture(scope="session")
def whole(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that one uninterrupted run has written."""
    with pytest.MonkeyPatch.context() as patch:
        import extract.experts
        from tests.pipeline.runs import ROOT, go

        planted = str(ROOT / "tests" / "fixtures" / "experts")
        patch.setenv("MARQUEE_EXPERTS", planted)
        patch.setattr(extract.experts, "__path__", [*extract.experts.__path__, planted])
        out = tmp_path_factory.mktemp("whole") / "features"
        assert go(videos, out, decoders=2).exit_status == 3
    return out
