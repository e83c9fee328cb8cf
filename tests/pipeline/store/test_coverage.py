from __future__ import annotations

from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from pipeline.storage.scan import scan
from pipeline.store.coverage import outcomes, write_derived
from pipeline.store.layout import Store, Target
from pipeline.store.parts import merge_part
from pipeline.store.status import status
from pipeline.store.todo import states
from pipeline.store.videos import Shard


def test_derived_tables_say_what_the_parts_say(kit: Any) -> None:
    kit.add("a.mp4", "b.mp4", "c.mp4", "d.mp4", b"\xe9.json")
    planned, store = kit.plan(), kit.store()
    clip, text = kit.target("clip"), kit.target("text")
    merge_part(store, kit.header(clip), [kit.failed("c", attempts=3), kit.absent("b"), kit.ok("a")])
    merge_part(store, kit.header(text, table="ocr_text"), [kit.ok("a"), kit.failed("b"), kit.absent("c")])
    merge_part(store, kit.header(text, table="asr_text"), [kit.absent("a"), kit.ok("b"), kit.absent("c")])
    write_derived(store, planned.shards, [text, clip], scan(kit.videos).ignored)
    rows = {name: sum(len(batch) for batch in kit.batches(name)) for name in "ab"}
    silent = "no audio stream"
    assert duckdb.execute(f"from '{store.root}/coverage.parquet'").fetchall() == [
        ("a", "clip", "ok", rows["a"], ""),
        ("a", "text", "ok", rows["a"], f"asr_text: {silent}"),
        ("b", "clip", "absent", 0, silent),
        ("b", "text", "failed", rows["b"], "MediaError: moov atom not found"),
        ("c", "clip", "failed", 0, "MediaError: moov atom not found"),
        ("c", "text", "absent", 0, f"ocr_text: {silent}; asr_text: {silent}"),
    ]
    assert duckdb.execute(f"from '{store.root}/failures.parquet'").fetchall() == [
        ("b", "text", "decode", "MediaError", "moov atom not found", 1),
        ("c", "clip", "decode", "MediaError", "moov atom not found", 3),
    ]
    (ignored,) = pq.read_table(store.root / "ignored.parquet").to_pylist()
    assert ignored == {
        "path": r"\xe9.json",
        "path_bytes": b"\xe9.json",
        "bytes": 3,
        "reason": "suffix .json is not that of a video or audio file",
    }


def test_derived_tables_of_nothing_are_empty_tables(kit: Any) -> None:
    store = kit.store()
    write_derived(store, [], [], [])
    for name in ("coverage", "failures", "ignored"):
        assert pq.read_table(store.root / f"{name}.parquet").num_rows == 0


def test_shards_that_interleave_come_sorted_and_are_read_late(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.add(*(f"{i:02d}.mp4" for i in range(1, 20, 2)))
    kit.plan(shard_size=2)
    kit.add(*(f"{i:02d}.mp4" for i in range(0, 20, 6)))
    planned, store, clip = kit.plan(shard_size=2), kit.store(), kit.target()
    kit.fill(store, planned.shards, clip)
    whole = [outcome.video_id for outcome in outcomes(store, planned.shards, [clip])]
    assert whole == [f"{i:02d}" for i in range(20) if i % 2 or i % 6 == 0]
    read: list[int] = []

    def watched(store: Store, shard: Shard, target: Target) -> Any:
        read.append(shard.index)
        return states(store, shard, target)

    monkeypatch.setattr("pipeline.store.coverage.states", watched)
    stream = outcomes(store, planned.shards, [clip])
    assert next(stream).video_id == "00"
    assert read == [5]
    assert len(list(stream)) == len(whole) - 1 and sorted(read) == list(range(7))


def test_status_counts(kit: Any) -> None:
    kit.add("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    planned, store = kit.plan(shard_size=3), kit.store()
    old, clip, text = kit.target(hop=1), kit.target("clip"), kit.target("text")
    kit.fill(store, planned.shards, old)
    merge_part(store, kit.header(clip), [kit.failed("c"), kit.absent("b"), kit.ok("a")])
    kit.record(store, clip, text)
    found = status(store)
    assert (found.videos, found.shards, found.complete) == (4, 2, False)
    one, two = found.experts
    assert (one.expert, one.ok, one.absent, one.failed, one.missing) == ("clip", 1, 1, 1, 1)
    assert one.rows == sum(len(batch) for batch in kit.batches("a"))
    parts = {part.path: part.path.stat().st_size for part in store.parts("clip")}
    mine = store.part_path("clip", shard=0, fingerprint=clip.fingerprint)
    assert (one.bytes, one.old_bytes) == (parts[mine], sum(parts.values()) - parts[mine])
    assert (two.expert, two.missing, two.rows, two.bytes) == ("text", 4, 0, 0)
    merge_part(store, kit.header(clip, shard=1), [kit.ok("d")])
    kit.fill(store, planned.shards, text)
    assert status(store).complete
