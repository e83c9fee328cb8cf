"""A sound store is clean, and every way of spoiling one is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.store.coverage import write_derived
from pipeline.store.footer import KEY
from pipeline.store.parts import merge_part
from pipeline.store.verify import verify

Change = Callable[[pa.Table, dict[str, Any]], tuple[pa.Table, dict[str, Any]]]


@pytest.fixture
def store(kit: Any) -> Any:
    kit.add("a.mp4", "b.mp4", "c.mp4")
    planned, store = kit.plan(shard_size=2), kit.store()
    kit.fill(store, planned.shards, kit.target("clip"))
    write_derived(store, planned.shards, store.targets(), [])
    return store


def spoil(store: Any, change: Change) -> tuple[str, ...]:
    """Rewrite the first part with other rows or another footer; what verify then says."""
    path = store.parts("clip")[0].path
    with pq.ParquetFile(path) as file:
        table, footer = file.read(), json.loads(file.metadata.metadata[KEY])
    table, footer = change(table, footer)
    with pq.ParquetWriter(path, table.schema.remove_metadata()) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({KEY: json.dumps(footer)})
    report = verify(store)
    assert not report.clean
    return report.problems


def column(table: pa.Table, name: str, change: Callable[[list[Any]], Any]) -> pa.Table:
    place = table.schema.get_field_index(name)
    values = table[name].to_pylist()
    change(values)
    return table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))


def test_a_sound_store_is_clean(kit: Any, store: Any) -> None:
    report = verify(store)
    assert report.clean and report.problems == ()
    rows = sum(len(batch) for name in "abc" for batch in kit.batches(name))
    assert (report.videos, report.parts, report.rows) == (3, 2, rows)


def swap(values: list[Any]) -> None:
    values[0], values[1] = values[1], values[0]


def set_first(value: Any) -> Callable[[list[Any]], None]:
    def change(values: list[Any]) -> None:
        values[0] = value

    return change


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("row", swap, "row 1 of 'a' stands where the footer has row 0 of 'a'"),
        ("row", lambda values: values.__setitem__(1, 0), "row 0 of 'a' stands where the footer has row 1"),
        ("video_id", set_first("b"), "row 0 of 'b' stands where"),
        ("start_seconds", set_first(9.0), "interval [9.0, 0.5)"),
        ("end_seconds", set_first(float("nan")), "interval [0.0, nan)"),
        ("embedding", set_first([0, 0, float("inf"), 0]), "embedding that is not finite"),
    ],
)
def test_wrong_rows_are_found(store: Any, name: str, change: Any, message: str) -> None:
    (problem,) = spoil(store, lambda table, footer: (column(table, name, change), footer))
    assert problem.startswith("clip/part-00000-") and message in problem


def test_rows_that_are_missing_or_too_many_are_found(store: Any) -> None:
    problems = spoil(store, lambda table, footer: (table.slice(1), footer))
    assert "is damaged" in problems[0] and "rows, footer says" in problems[0]
    assert any("clip: shard 0 lacks 2 of 2 videos ('a')" in problem for problem in problems)


def test_a_schema_other_than_the_footer_says_is_found(store: Any) -> None:
    problems = spoil(store, lambda table, footer: (table.drop_columns(["text"]), footer))
    assert "its schema is not what its footer says" in problems[0]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("table", "clap", "its footer is that of table"),
        ("shard", 1, "its footer is that of table"),
        ("made_of", {"expert": "clip", "settings": {"hop": 9}}, "does not follow from"),
    ],
)
def test_a_wrong_footer_is_found(store: Any, key: str, value: Any, message: str) -> None:
    problems = spoil(store, lambda table, footer: (table, {**footer, key: value}))
    assert message in problems[0]


def test_videos_of_another_shard_are_found(kit: Any, store: Any) -> None:
    merge_part(store, kit.header(kit.target("clip")), [kit.ok("c")])
    assert any("1 video is not of this shard: 'c'" in problem for problem in verify(store).problems)


@pytest.mark.parametrize("name", ["text", "embedding.list.element"])
def test_a_flipped_bit_in_the_data_is_found(store: Any, name: str) -> None:
    path = store.parts("clip")[0].path
    group = pq.read_metadata(path).row_group(0)
    chunks = [group.column(i) for i in range(group.num_columns)]
    (chunk,) = [chunk for chunk in chunks if chunk.path_in_schema == name]
    raw = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
    raw[start + chunk.total_compressed_size - 3] ^= 1  # near the end of the last page
    path.write_bytes(raw)
    assert verify(store).problems[0].startswith("clip/part-00000-")


def test_gaps_and_stale_tables_are_found(kit: Any, store: Any) -> None:
    store.parts("clip")[1].path.unlink()
    gap, stale = verify(store).problems
    assert gap == "clip: shard 1 lacks 1 of 1 videos ('c'): run again to complete it"
    assert stale == "coverage.parquet does not agree with the parts: run again to rewrite it"
    (store.root / "failures.parquet").unlink()
    (store.root / "coverage.parquet").write_bytes(b"PAR1")
    problems = verify(store).problems[1:]
    assert "coverage.parquet is damaged" in problems[0] and "failures.parquet is not there" in problems[1]


def test_a_video_planned_twice_is_found(store: Any) -> None:
    store.shard_path(7).write_bytes(store.shard_path(1).read_bytes())
    assert "videos: 'c' is planned more than once" in verify(store).problems


def test_old_fingerprints_are_checked_too(kit: Any, store: Any) -> None:
    kit.record(store, kit.target("clip", hop=2.0))
    problems = spoil(store, lambda table, footer: (column(table, "row", swap), footer))
    assert problems[0].startswith(f"clip/part-00000-{kit.target('clip').fingerprint}")
