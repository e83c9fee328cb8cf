from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extract.errors import StoreError
from extract.expert import Embedding, TableSpec
from extract.tables import to_batch
from extract.types import Failure, Outcome
from pipeline.store.footer import PartHeader, VideoState, read_footer
from pipeline.store.parts import VideoRows, merge_part, row_group_rows
from pipeline.store.validity import valid_footer
from pipeline.store.verify import verify

IDS = [f"film/{name}" for name in "abcdefgh"]


def path_of(store: Any, header: PartHeader) -> Path:
    return store.part_path(header.table, shard=header.shard, fingerprint=header.target.fingerprint)  # type: ignore[no-any-return]


def test_a_part_holds_its_rows_and_says_what_they_are(kit: Any) -> None:
    store, header = kit.store(), kit.header(kit.target(hop_seconds=1.5), shard=3)
    merge_part(store, header, [kit.failed("c"), kit.ok("b"), kit.absent("a"), kit.ok("d")])
    path = path_of(store, header)
    assert path.name == f"part-00003-{header.target.fingerprint}.parquet"
    footer = read_footer(path)
    assert footer.header == header
    assert {name: state.state for name, state in footer.videos.items()} == {
        "a": "absent",
        "b": "ok",
        "c": "failed",
        "d": "ok",
    }
    expected = pa.Table.from_batches([*kit.batches("b"), *kit.batches("d")])
    assert footer.videos["b"].rows == sum(map(len, kit.batches("b")))
    assert footer.videos["a"].reason == "no audio stream"
    assert footer.videos["c"].failure == Failure("decode", "MediaError", "moov atom not found")
    with pq.ParquetFile(path) as file:
        assert file.read().equals(expected)
        assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_duckdb_and_pandas_read_a_part(kit: Any) -> None:
    store, header = kit.store(), kit.header(kit.target())
    merge_part(store, header, [kit.ok("a"), kit.ok("b")])
    expected = pa.Table.from_batches([*kit.batches("a"), *kit.batches("b")])
    vectors = np.stack(expected["embedding"].to_pylist())
    frame = pd.read_parquet(path_of(store, header))
    np.testing.assert_array_equal(np.stack(frame["embedding"].to_list()), vectors)
    rows = duckdb.execute(
        "select video_id, row, start_seconds, end_seconds, text, embedding "
        f"from '{store.root}/clip/*.parquet'"
    ).fetchall()
    assert [row[:5] for row in rows] == list(
        zip(*(expected[name].to_pylist() for name in expected.schema.names[:5]), strict=True)
    )
    np.testing.assert_array_equal(np.stack([row[5] for row in rows]), vectors)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(IDS),
    cuts=st.sets(st.integers(1, 7)),
    step=st.integers(1, 9),
    again=st.sampled_from(IDS),
)
def test_checkpoints_leave_no_trace(
    kit: Any, order: list[str], cuts: set[int], step: int, again: str
) -> None:
    """Any split into checkpoints, in any order, some videos twice, gives the bytes of one write."""
    store, target = kit.store(), kit.target()
    whole, pieces = kit.header(target, shard=0), kit.header(target, shard=1)
    merge_part(store, whole, [kit.ok(video_id) for video_id in IDS])
    path_of(store, pieces).unlink(missing_ok=True)
    edges = [0, *sorted(cuts), len(order)]
    for first, last in itertools.pairwise(edges):
        merge_part(store, pieces, [kit.ok(video_id, step=step) for video_id in order[first:last]])
    merge_part(store, pieces, [kit.ok(again)])
    with pq.ParquetFile(path_of(store, whole)) as a, pq.ParquetFile(path_of(store, pieces)) as b:
        assert a.read().equals(b.read())
        assert a.metadata.num_row_groups == b.metadata.num_row_groups
    assert read_footer(path_of(store, whole)).videos == read_footer(path_of(store, pieces)).videos


def test_rows_of_a_video_that_was_done_again_are_replaced(kit: Any) -> None:
    store, header = kit.store(), kit.header(kit.target())
    merge_part(store, header, [kit.failed("b"), kit.ok("a"), kit.ok("c")])
    merge_part(store, header, [kit.ok("b"), kit.absent("c")])
    footer = read_footer(path_of(store, header))
    assert [state.state for state in footer.videos.values()] == ["ok", "ok", "absent"]
    expected = pa.Table.from_batches([*kit.batches("a"), *kit.batches("b")])
    assert pq.ParquetFile(path_of(store, header)).read().equals(expected)


def test_parts_of_another_fingerprint_stay_beside(kit: Any) -> None:
    store = kit.store()
    old, new = (kit.header(kit.target(hop_seconds=hop)) for hop in (1.0, 2.0))
    merge_part(store, old, [kit.ok("a")])
    merge_part(store, new, [kit.ok("a"), kit.ok("b")])
    assert list(read_footer(path_of(store, old)).videos) == ["a"]
    assert len(store.parts("clip")) == 2


def test_a_damaged_part_is_not_valid_and_is_replaced(kit: Any) -> None:
    store, header = kit.store(), kit.header(kit.target())
    merge_part(store, header, [kit.ok("a"), kit.ok("b")])
    path, (part,) = path_of(store, header), store.parts("clip")
    whole = path.read_bytes()
    assert valid_footer(part, None) is not None
    assert valid_footer(replace(part, fingerprint="0" * 12), None) is None
    for damage in (b"", whole[: len(whole) // 2], whole[:-4] + b"NOPE"):
        path.write_bytes(damage)
        assert valid_footer(part, None) is None
    pq.write_table(pa.table({"a": [1]}), path)
    assert valid_footer(part, None) is None
    merge_part(store, header, [kit.ok("a")])
    assert list(read_footer(path).videos) == ["a"]


def test_rows_that_do_not_fit_are_refused_and_leave_nothing(kit: Any) -> None:
    store, header = kit.store(), kit.header(kit.target())
    merge_part(store, header, [kit.ok("a")])
    ok = VideoState("ok", size_bytes=3)
    other = TableSpec(embedding=Embedding((2,)))
    foreign = to_batch(
        [{"start_seconds": 0.0, "end_seconds": 1.0, "embedding": np.zeros(2)}], spec=other, video_id="b"
    )
    rows = list(kit.batches("b"))
    for bad, message in (
        ([VideoRows("b", ok, [foreign])], "schema"),
        ([VideoRows("c", ok, rows)], "not its own"),
        ([VideoRows("b", ok, [rows[0], rows[0]])], "not numbered"),
        ([VideoRows("b", ok, [])], "ok with 0 rows"),
        ([VideoRows("b", replace(ok, state="absent", reason="silent"), rows)], "absent with"),
        ([kit.ok("b"), kit.ok("b")], "sorted and once"),
    ):
        with pytest.raises(ValueError, match=message):
            merge_part(store, header, bad)
        assert [path.name for path in (store.root / "clip").iterdir()] == [path_of(store, header).name]
    assert list(read_footer(path_of(store, header)).videos) == ["a"]


def test_states_check_themselves() -> None:
    bad: list[dict[str, Any]] = [
        {"state": "missing"},
        {"state": "failed"},
        {"state": "absent"},
        {"state": "absent", "reason": "silent", "rows": 1},
        {"state": "ok", "failure": Failure("decode", "E", "m")},
    ]
    for entry in bad:
        with pytest.raises(ValueError):
            VideoState(**entry)


def test_states_follow_from_what_the_engine_says() -> None:
    ok = Outcome("ok", {"ocr_text": 2, "asr_text": 0})
    assert VideoState.of(ok, "ocr_text", size_bytes=1).state == "ok"
    assert VideoState.of(ok, "asr_text", size_bytes=1).reason == "nothing found"
    silent = Outcome("absent", {"clip": 0}, "no audio stream")
    assert VideoState.of(silent, "clip", size_bytes=1).reason == "no audio stream"
    broken = Outcome("failed", {"clip": 0}, "", Failure("decode", "MediaError", "caf\udce9 " + "x" * 5000))
    why = VideoState.of(broken, "clip", size_bytes=1, attempts=2).failure
    assert why is not None and why.message.startswith(r"caf\xe9 x") and len(why.message) == 2000


def test_memory_does_not_grow_with_the_length_of_a_video(kit: Any) -> None:
    """Five times the rows, merged into a part that holds as many, take the same Arrow memory."""
    spec = TableSpec(embedding=Embedding((65_536,)))
    batch_rows = 8

    def batches(video_id: str, count: int) -> Any:
        for first in range(0, count, batch_rows):
            row = {"start_seconds": 0.0, "end_seconds": 1.0, "embedding": np.full(65_536, first % 7)}
            yield to_batch([row] * batch_rows, spec=spec, video_id=video_id, first_row=first)

    def peak(count: int) -> int:
        store, target = kit.store(), kit.target(rows=count)
        header = PartHeader(target, "clip", 0, spec)
        pool = pa.system_memory_pool()
        pa.set_memory_pool(pool)
        for video_id in ("a", "b"):
            merge_part(store, header, [VideoRows(video_id, VideoState("ok"), batches(video_id, count))])
        assert read_footer(path_of(store, header)).videos["a"].rows == count
        return int(pool.max_memory())

    assert row_group_rows(PartHeader(kit.target(), "clip", 0, spec).schema) < 80  # several groups each
    before = pa.default_memory_pool()
    tracemalloc.start()
    try:
        short = peak(160)
        python = tracemalloc.get_traced_memory()[1]
        assert peak(800) <= short + (24 << 20)
        assert tracemalloc.get_traced_memory()[1] <= python + (4 << 20)
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)


WRITER = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("kit", sys.argv[1])
kit_module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kit_module)
from pipeline.store.lock import writing
from pipeline.store.parts import merge_part
kit = kit_module.Kit.__new__(kit_module.Kit)
kit.videos, kit.out = Path(sys.argv[2]) / "clips", Path(sys.argv[2]) / "out"
store, target = kit.store(), kit.target()
print("ready", flush=True)
with writing(store):
    for i in range(10**6):
        merge_part(store, kit.header(target), [kit.ok("abcdefgh"[i % 8])])
"""


def test_a_writer_killed_at_any_instant_leaves_only_valid_parts(kit: Any, tmp_path: Path) -> None:
    kit.add(*(f"{name}.mp4" for name in "abcdefgh"))
    kit.plan()
    store, target = kit.store(), kit.target()
    path = path_of(store, kit.header(target))
    command = [sys.executable, "-c", WRITER, str(Path(__file__).parents[1] / "conftest.py"), str(tmp_path)]
    for number in range(4):
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
        assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 30
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.013 * number)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        footer = read_footer(path)
        kit.record(store, target)
        faults = [fault for fault in verify(store).problems if fault.startswith("clip/")]
        assert footer.videos and faults == []


LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
from pathlib import Path
from pipeline.storage.atomic import atomic
with atomic(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"x" * 5000)
"""


def test_a_disk_that_refuses_gives_one_clear_line(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(target)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert f"extract.errors.{StoreError.__name__}: cannot write '{target}': File too large" in done.stderr
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_part_notes_all_kinds_of_devices_that_made_its_rows(kit: Any) -> None:
    store = kit.store()

    def devices_after(device: str | None, *videos: str) -> tuple[str, ...]:
        notes = {} if device is None else {"devices": [device]}
        header = kit.header(replace(kit.target(), notes=notes))
        return merge_part(store, header, map(kit.ok, videos)).header.devices

    assert devices_after(None, "a") == ("unknown",)
    assert devices_after("cpu", "a") == ("cpu",)  # none of the older rows is left
    assert devices_after("cuda", "b") == ("cpu", "cuda")
    assert devices_after("cpu", "a", "b") == ("cpu",)
