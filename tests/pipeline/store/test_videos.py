"""Stores whose ``videos`` table has another list of columns, because another version wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract.errors import StoreError
from pipeline.store.reading import read
from pipeline.store.videos import VIDEOS_SCHEMA, measured, read_shards, update_videos


@pytest.fixture
def mixed(kit: Any) -> Any:
    """A shard with fewer columns, one as it is now, one with a column of the future."""
    kit.add("a.mp4", "b.mp4", "c.mp4")
    kit.plan(shard_size=1)
    store = kit.store()
    old, _, new = (store.shard_path(shard) for shard in store.shards())
    rewrite(old, pq.read_table(old).drop_columns(["note", "duration_seconds", "audio_tracks"]))
    table = pq.read_table(new)
    rewrite(new, table.append_column("mood", pa.array(["calm"], pa.string())))
    return store


def rewrite(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path)


def test_all_columns_are_read_and_what_a_shard_lacks_is_null(mixed: Any) -> None:
    table = read(mixed, "videos")
    assert table.column_names == [*VIDEOS_SCHEMA.names, "mood"]
    assert table["mood"].to_pylist() == [None, None, "calm"]
    assert table["note"].to_pylist() == [None] * 3
    assert read(mixed, "videos", columns=["mood"]).column_names == ["mood"]


def test_an_older_shard_is_not_damaged_and_takes_new_measurements(mixed: Any) -> None:
    assert [shard.videos[0].video_id for shard in read_shards(mixed)] == ["a", "b", "c"]
    assert measured(mixed, 0) == {}
    update_videos(mixed, 0, {"a": {"bytes": 3, "duration_seconds": 2.0, "note": "short"}})
    assert measured(mixed, 0) == {"a": 3}
    assert pq.read_schema(mixed.shard_path(0)).names == VIDEOS_SCHEMA.names


def test_a_newer_column_is_kept_until_the_file_is_another(mixed: Any) -> None:
    update_videos(mixed, 2, {"c": {"bytes": 3, "fps": 25.0}})
    assert read(mixed, "videos").to_pylist()[2]["mood"] == "calm"
    update_videos(mixed, 2, {"c": {"bytes": 4}})
    assert read(mixed, "videos").to_pylist()[2]["mood"] is None


def test_a_shard_without_what_it_was_planned_with_is_damaged(mixed: Any) -> None:
    path = mixed.shard_path(0)
    rewrite(path, pq.read_table(path).drop_columns(["path"]))
    with pytest.raises(StoreError, match=r"damaged .*no column path"):
        read_shards(mixed)
