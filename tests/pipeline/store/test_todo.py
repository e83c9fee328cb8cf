from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.store.parts import merge_part
from pipeline.store.todo import attempts, todo
from pipeline.work.plan import Plan


@pytest.fixture
def planned(kit: Any) -> Plan:
    kit.add("a.mp4", "b.mp4", "c.mp4")
    return kit.plan()  # type: ignore[no-any-return]


def test_everything_is_to_do_at_first_and_nothing_at_last(kit: Any, planned: Plan) -> None:
    store, clip, text = kit.store(), kit.target("clip"), kit.target("text")
    (shard,) = planned.shards
    assert todo(store, shard, [clip, text]) == {name: {"clip", "text"} for name in "abc"}
    kit.fill(store, planned.shards, clip, text)
    assert todo(store, shard, [clip, text]) == {}


def test_a_checkpoint_leaves_the_rest_to_do(kit: Any, planned: Plan) -> None:
    store, clip = kit.store(), kit.target("clip")
    merge_part(store, kit.header(clip), [kit.ok("b"), kit.absent("c")])
    assert todo(store, planned.shards[0], [clip]) == {"a": {"clip"}}


def test_an_expert_is_done_when_all_its_tables_are(kit: Any, planned: Plan) -> None:
    store, text = kit.store(), kit.target("text")
    merge_part(store, kit.header(text, table="ocr_text"), [kit.ok(name) for name in "abc"])
    assert todo(store, planned.shards[0], [text]).keys() == {"a", "b", "c"}
    merge_part(store, kit.header(text, table="asr_text"), [kit.absent("b")])
    assert todo(store, planned.shards[0], [text]).keys() == {"a", "c"}


def test_other_options_and_damage_are_to_do(kit: Any, planned: Plan) -> None:
    store, clip = kit.store(), kit.target("clip")
    kit.fill(store, planned.shards, clip)
    assert len(todo(store, planned.shards[0], [kit.target("clip", hop=2.0)])) == 3
    path = store.part_path("clip", shard=0, fingerprint=clip.fingerprint)
    path.write_bytes(path.read_bytes()[:-1])
    assert len(todo(store, planned.shards[0], [clip])) == 3


def test_failures_are_done_unless_asked_for(kit: Any, planned: Plan) -> None:
    store, clip = kit.store(), kit.target("clip")
    merge_part(store, kit.header(clip), [kit.ok("a"), kit.absent("b"), kit.failed("c", attempts=2)])
    assert todo(store, planned.shards[0], [clip]) == {}
    assert todo(store, planned.shards[0], [clip], retry_failed=True) == {"c": {"clip"}}
    assert attempts(store, planned.shards[0], clip) == {"a": 1, "b": 1, "c": 2}


def test_what_reads_an_expert_is_done_again_with_it(kit: Any, planned: Plan) -> None:
    store, ocr, clip = kit.store(), kit.target("ocr"), kit.target("clip")
    text = kit.target("text", upstream=[ocr])
    kit.fill(store, planned.shards, clip, text)
    merge_part(store, kit.header(ocr), [kit.ok("a"), kit.failed("b")])
    targets = [ocr, clip, text]
    assert todo(store, planned.shards[0], targets) == {"c": {"ocr", "text"}}
    again = todo(store, planned.shards[0], targets, retry_failed=True)
    assert again == {"b": {"ocr", "text"}, "c": {"ocr", "text"}}


def test_what_failed_for_its_upstream_is_done_once_that_succeeded(kit: Any, planned: Plan) -> None:
    """A run that was killed between the retry of an expert and of what reads it."""
    store, ocr = kit.store(), kit.target("ocr")
    text = kit.target("text", upstream=[ocr])
    merge_part(store, kit.header(ocr), [kit.failed("a"), kit.failed("b"), kit.ok("c")])
    for table in text.tables:
        blamed = [kit.failed(name, stage="upstream") for name in "ab"]
        merge_part(store, kit.header(text, table=table), [*blamed, kit.failed("c", stage="model")])
    assert todo(store, planned.shards[0], [ocr, text]) == {}
    merge_part(store, kit.header(ocr), [kit.ok("a")])
    assert todo(store, planned.shards[0], [ocr, text]) == {"a": {"text"}}


def test_a_changed_file_is_done_again_and_a_vanished_one_is_not(kit: Any, planned: Plan) -> None:
    store, clip = kit.store(), kit.target("clip")
    merge_part(store, kit.header(clip), [kit.ok("a"), kit.ok("b")])
    kit.add("a.mp4", size=4)
    (kit.videos / "b.mp4").unlink()
    (kit.videos / "c.mp4").unlink()
    (shard,) = kit.plan().shards
    assert todo(store, shard, [clip]) == {"a": {"clip"}, "c": {"clip"}}
    assert {video.video_id: video.problem for video in shard.videos}["c"] == "file vanished"
    gone = kit.failed("c")
    merge_part(store, kit.header(clip), [replace(gone, state=replace(gone.state, size_bytes=None))])
    assert todo(store, shard, [clip]).keys() == {"a"}
    kit.add("c.mp4")
    assert todo(store, kit.plan().shards[0], [clip]).keys() == {"a", "c"}
