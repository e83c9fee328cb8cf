from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from extract.errors import StoreError, UsageError
from pipeline.storage.scan import Input, Scan
from pipeline.store.layout import open_store
from pipeline.store.reading import read
from pipeline.store.videos import VIDEOS_SCHEMA, read_shards, update_videos
from pipeline.work.plan import plan


def members(found: Any) -> list[list[str]]:
    return [[video.video_id for video in shard.videos] for shard in found.shards]


def test_shards_are_written_before_anything_is_decoded(kit: Any) -> None:
    kit.add("c.mp4", "a.mp4", "b/d.mp4", b"\xff.mp4")
    found = kit.plan(shard_size=3)
    assert members(found) == [["a", "b/d", "c"], [r"\xff"]]
    for shard in found.shards:
        assert pq.read_schema(kit.store().shard_path(shard.index)).equals(VIDEOS_SCHEMA)
    rows = read(kit.store(), "videos", columns=["video_id", "path", "path_bytes", "bytes", "fps"]).to_pylist()
    assert rows[1] == {"video_id": "b/d", "path": "b/d.mp4", "path_bytes": None, "bytes": 3, "fps": None}
    assert rows[3]["path_bytes"] == b"\xff.mp4"
    assert found.shards[1].videos[0].file(kit.videos).read_bytes() == b"xxx"


def test_videos_added_later_make_new_shards(kit: Any) -> None:
    kit.add("b.mp4", "c.mp4", "d.mp4")
    first = kit.plan(shard_size=2)
    kit.add("a.mp4", "c.mkv")
    (kit.videos / "d.mp4").unlink()
    second = kit.plan(shard_size=2)
    assert members(second) == [["b", "c"], ["d"], ["a", "c.mkv"]]
    assert members(second)[:2] == members(first)
    assert second.shards[1].videos[0].problem == "file vanished"
    collision, vanished = second.warnings
    assert "'c.mkv'" in collision and "'d.mp4'" in vanished
    assert members(kit.plan(shard_size=5)) == members(second)
    assert read_shards(kit.store())[0] == first.shards[0]


def test_a_killed_plan_goes_on_with_the_same_shards(kit: Any) -> None:
    kit.add(*(f"{i:02d}.mp4" for i in range(10)), "03.mkv")
    whole = members(kit.plan(shard_size=3))
    for path in sorted((kit.out / "videos").iterdir())[2:]:
        path.unlink()
    assert members(kit.plan(shard_size=3)) == whole


def test_measured_facts_stay_until_the_file_is_another(kit: Any) -> None:
    kit.add("a.mp4", "b.mp4")
    kit.plan()
    store = kit.store()
    update_videos(store, 0, {"a": {"bytes": 3, "fps": 25.0, "width": 640, "audio_codec": None}})
    update_videos(store, 0, {"a": {"bytes": 3, "fps": None, "audio_codec": "aac"}})
    a, b = read(store, "videos").to_pylist()
    assert (a["fps"], a["width"], a["audio_codec"]) == (25.0, 640, "aac")
    assert b["fps"] is None
    update_videos(store, 0, {"a": {"bytes": 4, "fps": 30.0}})
    a, b = read(store, "videos").to_pylist()
    assert (a["bytes"], a["fps"], a["width"], a["audio_codec"]) == (4, 30.0, None, None)
    with pytest.raises(ValueError, match="not in shard"):
        update_videos(store, 0, {"z": {}})
    with pytest.raises(ValueError, match="unknown columns"):
        update_videos(store, 0, {"a": {"video_id": "b"}})


def test_bad_shard_size_and_damaged_shard(kit: Any) -> None:
    kit.add("a.mp4")
    with pytest.raises(UsageError, match="--shard-size is 0"):
        kit.plan(shard_size=0)
    kit.plan()
    kit.store().shard_path(0).write_bytes(b"PAR1 no more")
    with pytest.raises(StoreError, match="damaged"):
        kit.plan()


def test_a_plan_of_100_000_videos_is_small_and_stays(tmp_path: Path) -> None:
    inputs = tuple(Input(b"%03d/%06d.mp4" % (i // 1000, i), i) for i in range(100_000))
    found = Scan(tmp_path, inputs, ())
    store = open_store(tmp_path / "out", create=True)
    first = plan(found, store, shard_size=1024)
    tracemalloc.start()
    second = plan(found, store, shard_size=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert second == first
    assert peak < 100e6  # about 600 bytes for each video
    count = f"select count(distinct video_id) from '{tmp_path}/out/videos/*.parquet'"
    assert duckdb.execute(count).fetchall() == [(100_000,)]
