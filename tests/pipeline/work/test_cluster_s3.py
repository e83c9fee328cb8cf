"""Dask workers with videos and store on object storage: the tables of a local run, whoever is killed."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline import Cluster
from pipeline.storage.location import names
from pipeline.store.layout import Store
from pipeline.store.lock import writing
from pipeline.store.verify import verify
from tests.pipeline.runs import TABLES, contents, go, in_order, start, workers_of

if TYPE_CHECKING:
    from upath import UPath

pytest.importorskip("distributed")
pytestmark = pytest.mark.usefixtures("planted_experts")


@pytest.fixture
def trailers(videos: Path, bucket: UPath) -> UPath:
    """The same videos as objects."""
    for path in videos.iterdir():
        bucket.fs.pipe_file((bucket / "trailers" / path.name).path, path.read_bytes())
    return bucket / "trailers"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that copies of videos and parts go through."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def rows(out: Any, videos: Any) -> dict[str, list[tuple[Any, ...]]]:
    """All tables in order; what failures say of a file's place is left out."""

    def placeless(value: Any) -> Any:
        return value.replace(f"{videos}/", "") if isinstance(value, str) else value

    return {
        name: [tuple(map(placeless, row)) for row in in_order(table)] for name, table in contents(out).items()
    }


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.3)  # each look is a request to a server on the same cores


def written(out: UPath) -> int:
    """How many parts of the slow expert there are."""
    return len(names(out / "trouble"))


def finished(out: UPath) -> set[str]:
    """Shards that have a part of every table."""
    return set.intersection(*({name[:10] for name in names(out / table)} for table in TABLES))


def test_the_same_tables_and_nothing_is_left(
    videos: Path, whole: Path, trailers: UPath, bucket: UPath, scratch: Path
) -> None:
    """One of the two workers is killed when the first part is there."""
    out = bucket / "features"
    killed = threading.Event()

    def kill() -> None:
        until(lambda: written(out))
        workers_of(os.getpid())[0].kill()
        killed.set()

    threading.Thread(target=kill, daemon=True).start()
    options = {"scenes": {"detector": "content"}, "trouble": {"seconds": 0.2}}
    report = go(trailers, out, options=options, shard_size=2, cluster=Cluster(workers=2))
    assert killed.is_set() and report.exit_status == 3
    assert rows(out, trailers) == rows(whole, videos)
    assert verify(Store(out)).clean
    assert names(out / ".attempts") == [] and ".lock" not in names(out)


def test_a_killed_driver_is_followed_by_the_same_command(
    videos: Path, whole: Path, trailers: UPath, bucket: UPath, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is left behind; nobody renews it, so the next run takes it over."""
    out = bucket / "features"
    slow = ("--workers", "2", "--shard-size", "2", "--set", "trouble.seconds=0.5")
    driver = start(trailers, out, *slow)
    until(lambda: finished(out) or driver.poll() is not None)
    driver.send_signal(signal.SIGKILL)
    text = driver.communicate(timeout=60)[0].decode()
    assert driver.returncode == -signal.SIGKILL, text
    assert ".lock" in names(out) and "coverage.parquet" not in names(out)

    soon = partial(writing, renew_seconds=0.5, watch_seconds=1.5)
    monkeypatch.setattr(import_module("pipeline.work.run"), "writing", soon)
    options = {"scenes": {"detector": "content"}, "trouble": {"seconds": 0.5}}
    report = go(trailers, out, options=options, shard_size=2)
    assert report.computed < 8, "what the first run has written is not done again"
    assert rows(out, trailers) == rows(whole, videos)
    assert verify(Store(out)).clean


def test_what_is_stored_is_read_by_the_experts_below_it(
    videos: Path, whole: Path, trailers: UPath, bucket: UPath
) -> None:
    """As after a driver died between the parts of two experts."""
    go(trailers, bucket / "features", experts=("scenes",), decoders=1)
    go(trailers, bucket / "features", decoders=1)
    assert rows(bucket / "features", trailers) == rows(whole, videos)
