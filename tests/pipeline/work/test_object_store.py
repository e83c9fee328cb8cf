"""A store on object storage is the same store."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from extract.errors import StoreError
from extract.expert import Embedding, TableSpec
from extract.tables import to_batch
from pipeline.storage.atomic import atomic
from pipeline.storage.location import location, names, read_bytes
from pipeline.store.coverage import write_derived
from pipeline.store.footer import InvalidPart, PartHeader, VideoState, read_footer
from pipeline.store.layout import Store, open_store
from pipeline.store.lock import writing
from pipeline.store.parts import VideoRows, merge_part
from pipeline.store.reading import dataset, read
from pipeline.store.status import status
from pipeline.store.todo import todo, todo_by_shard
from pipeline.store.validity import valid_footer
from pipeline.store.verify import verify
from pipeline.store.videos import read_shards, update_videos

pytestmark = pytest.mark.slow

WIDE = TableSpec(embedding=Embedding((50_000,)))


@pytest.fixture
def remote(kit: Any, bucket: Any) -> Any:
    kit.out = bucket / "some" / "out"
    return kit


class Requests:
    """What was asked of the server, and how much it sent."""

    def __init__(self, fs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.methods: list[str] = []
        self.received = 0
        call = fs._call_s3

        async def spy(method: str, *args: Any, **options: Any) -> Any:
            answer = await call(method, *args, **options)
            self.methods.append(method)
            if method == "get_object":
                self.received += answer["ContentLength"]
            return answer

        monkeypatch.setattr(fs, "_call_s3", spy)


def fill(kit: Any) -> Store:
    """Shards planned twice, checkpoints, facts, all states, all derived tables."""
    kit.add("b.mp4", "a.mp4", "c.mp4", "d.mp4", "notes.txt")
    kit.plan(shard_size=3)
    kit.add("e.mp4")
    planned, store = kit.plan(shard_size=3), Store(kit.out)
    clip, text = kit.target("clip"), kit.target("text")
    with writing(store, renew_seconds=60):
        kit.fill(store, planned.shards[1:], clip, text)
        merge_part(store, kit.header(clip), [kit.ok("c"), kit.failed("a", attempts=2)])
        merge_part(store, kit.header(clip), [kit.absent("b")])
        update_videos(store, 0, {"a": {"duration_seconds": 1.5, "bytes": 3}})
        kit.record(store, clip, text)
        write_derived(store, planned.shards, store.targets(), [])
    return store


def test_it_holds_what_a_local_store_holds(kit: Any, tmp_path: Path, bucket: Any) -> None:
    (tmp_path / "other").mkdir()
    other = type(kit)(tmp_path / "other")
    other.out = bucket / "some" / "out"
    mine, theirs = fill(kit), fill(other)
    assert names(theirs.root) == [name for name in names(mine.root) if name != ".lock"]
    assert theirs.tables() == mine.tables() and read_shards(theirs) == read_shards(mine)
    for name in [*mine.tables(), "videos"]:
        assert names(theirs.root / name) == names(mine.root / name)
        for part in names(mine.root / name):
            assert read_bytes(theirs.root / name / part) == read_bytes(mine.root / name / part)
        assert read(theirs, name).equals(read(mine, name))
    for name in ("run.json", "coverage.parquet", "failures.parquet", "ignored.parquet"):
        assert read_bytes(theirs.root / name) == read_bytes(mine.root / name)
    assert status(theirs) == status(mine)
    assert verify(theirs).problems == verify(mine).problems != ()
    shards, targets = read_shards(theirs), theirs.targets()
    works = list(todo_by_shard(theirs, shards, targets, retry_failed=True))
    assert works == [(shard, todo(mine, shard, targets, retry_failed=True)) for shard in shards]
    assert [len(work) for _, work in works] == [3, 0, 0]
    # By its address, and with a filter.
    some = read(str(theirs.root), "clip", video_ids=["c"], columns=["text"])
    assert some.equals(read(mine, "clip", video_ids=["c"], columns=["text"])) and len(some)


def test_a_complete_store_is_clean_and_a_spoilt_one_is_not(remote: Any) -> None:
    remote.add("a.mp4", "b.mp4")
    planned, store, target = remote.plan(shard_size=1), remote.store(), remote.target()
    remote.fill(store, planned.shards, target)
    write_derived(store, planned.shards, store.targets(), [])
    assert verify(store).clean and status(store).complete
    part: Any = store.parts("clip")[0].path
    whole = read_bytes(part)
    for spoilt in (b"", whole[:-4] + b"NOPE", whole[: len(whole) // 2]):
        part.fs.pipe_file(part.path, spoilt)
        assert any("is damaged" in problem for problem in verify(store).problems)
        assert valid_footer(store.parts("clip")[0], None) is None
    part.fs.rm_file(part.path)
    with pytest.raises(InvalidPart, match="there is no part 's3://"):
        read_footer(part)
    coverage: Any = store.root / "coverage.parquet"
    coverage.fs.rm_file(coverage.path)
    assert "coverage.parquet is not there: run again to write it" in verify(store).problems


def wide_part(kit: Any, store: Store, names: str) -> PartHeader:
    header = PartHeader(kit.target(), "clip", 0, WIDE)
    random = np.random.default_rng(0)

    def rows(video_id: str) -> VideoRows:
        vectors = [
            {"start_seconds": 0.0, "end_seconds": 1.0, "embedding": random.normal(size=50_000)}
            for _ in range(25)
        ]
        batch = to_batch(vectors, spec=WIDE, video_id=video_id)
        return VideoRows(video_id, VideoState("ok", size_bytes=3), [batch])

    merge_part(store, header, [rows(name) for name in names])
    return header


def test_only_what_is_asked_for_is_fetched(remote: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = remote.store()
    header = wide_part(remote, store, "abcdef")
    path: Any = store.part_path("clip", shard=0, fingerprint=header.target.fingerprint)
    size = path.stat().st_size
    assert size > 10 << 20
    asked = Requests(path.fs, monkeypatch)
    footer = read_footer(path)
    assert (asked.methods, asked.received) == (["get_object"], 64 << 10) and len(footer.videos) == 6
    asked.received = 0
    found = dataset(store, "clip", fingerprint=header.target.fingerprint)
    assert found.count_rows(filter=ds.field("video_id") == "a") == 25 and asked.received < 1 << 20
    asked.received = 0
    assert len(read(store, "clip", fingerprint=header.target.fingerprint, video_ids=["a"])) == 25
    assert asked.received < size / 2
    assert pickle.loads(pickle.dumps(found)).count_rows() == 150


def test_a_long_footer_takes_a_second_request(remote: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store, header = remote.store(), remote.header(remote.target())
    many = [remote.failed(f"{number:05d}") for number in range(1000)]
    path: Any = store.part_path("clip", shard=0, fingerprint=header.target.fingerprint)
    merge_part(store, header, many)
    asked = Requests(path.fs, monkeypatch)
    assert len(read_footer(path).videos) == 1000
    assert asked.methods == ["get_object", "get_object"]


def test_storage_out_of_reach_is_not_a_damaged_part(remote: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else rows would be thrown away because of a hiccup."""
    store, header = remote.store(), remote.header(remote.target())
    merge_part(store, header, [remote.ok("a")])
    path: Any = store.part_path("clip", shard=0, fingerprint=header.target.fingerprint)
    whole = read_bytes(path)
    (part,) = store.parts("clip")

    async def away(*args: Any, **options: Any) -> Any:
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(path.fs, "_call_s3", away)
        for ask in (
            lambda: valid_footer(part, None),
            lambda: merge_part(store, header, [remote.ok("b")]),
            lambda: open_store(store.root),
            lambda: store.run_record(),
        ):
            with pytest.raises(StoreError, match="cannot be reached: check the network"):
                ask()
    assert read_bytes(path) == whole


def test_a_file_is_seen_whole_or_not_at_all(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bucket / "out" / "x"
    with pytest.raises(KeyboardInterrupt), atomic(path) as temporary:
        temporary.write_text("new")
        raise KeyboardInterrupt
    assert names(bucket) == [] and not temporary.parent.exists()
    with atomic(path) as temporary:
        temporary.write_text("old")
        assert names(bucket) == []
    assert read_bytes(path) == b"old" and not temporary.parent.exists()
    call = path.fs._call_s3

    async def fails_late(method: str, *args: Any, **options: Any) -> Any:
        if method == "complete_multipart_upload" or options.get("PartNumber") == 2:
            raise ConnectionResetError
        return await call(method, *args, **options)

    put = path.fs.put_file
    monkeypatch.setattr(path.fs, "_call_s3", fails_late)
    monkeypatch.setattr(path.fs, "put_file", lambda a, b: put(a, b, chunksize=5 << 20))
    message = r"cannot write 's3://.*x': the storage cannot be reached"
    with pytest.raises(StoreError, match=message), atomic(path) as temporary:
        temporary.write_bytes(b"x" * (11 << 20))
    assert read_bytes(path) == b"old"


KILLED = """
import os, signal, sys
from pipeline.storage.atomic import atomic
from pipeline.storage.location import location
with atomic(location(sys.argv[1])) as temporary:
    temporary.write_text("new")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_is_killed_leaves_the_old_file(bucket: Any, tmp_path: Path) -> None:
    path = bucket / "out" / "x"
    path.fs.pipe_file(path.path, b"old")
    command = [sys.executable, "-c", KILLED, str(path)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=Path(__file__).parents[3], env=environment)
    assert done.returncode == -signal.SIGKILL
    assert read_bytes(path) == b"old" and names(path.parent) == ["x"]


def test_a_full_local_disk_is_told_apart_from_the_storage(
    bucket: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    message = r"cannot write '/.*/x': No space .* set TMPDIR"
    with pytest.raises(StoreError, match=message), atomic(bucket / "x"):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(StoreError, match=r"cannot write .*gone'"), atomic(bucket / "x"):
        pass


def test_a_prefix_with_other_things_is_refused(bucket: Any) -> None:
    with pytest.raises(StoreError, match=r"'s3://.*/new' is not a feature store"):
        open_store(bucket / "new")
    open_store(bucket / "new", create=True)
    assert names(bucket) == []
    (bucket / "photos" / "me.jpg").fs.pipe_file((bucket / "photos" / "me.jpg").path, b"x")
    with pytest.raises(StoreError, match="contains other files"):
        open_store(bucket / "photos", create=True)
    with pytest.raises(StoreError, match="is a file"):
        open_store(bucket / "photos" / "me.jpg", create=True)
    open_store(bucket / "phot", create=True)


def test_a_bucket_that_is_not_there_is_said_so(s3_environment: None) -> None:
    with pytest.raises(StoreError, match="'s3://no-such-bucket/out': there is no such bucket: create it"):
        open_store(location("s3://no-such-bucket/out"), create=True)


def test_missing_credentials_and_servers_are_said_so(
    s3_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s3fs import S3FileSystem

    def message() -> str:
        S3FileSystem.clear_instance_cache()
        with pytest.raises(StoreError) as caught:
            open_store(location("s3://bucket/out"), create=True)
        return str(caught.value)

    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        assert "'s3://bucket/out': the storage cannot be reached" in message()
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        assert "'s3://bucket/out': no credentials: set AWS_PROFILE" in message()
        monkeypatch.setenv("AWS_PROFILE", "none")
        assert "'s3://bucket/out': no credentials: set AWS_PROFILE" in message()
    finally:
        S3FileSystem.clear_instance_cache()


def test_duckdb_sees_parquet(remote: Any, tmp_path: Path) -> None:
    """The objects are plain files: downloaded, they are a local store."""
    remote.add("a.mp4")
    planned, store = remote.plan(), remote.store()
    remote.fill(store, planned.shards, remote.target())
    write_derived(store, planned.shards, store.targets(), [])
    store.root.fs.get(store.root.path, str(tmp_path / "copy"), recursive=True)  # type: ignore[union-attr]
    assert verify(Store(tmp_path / "copy")).clean
    assert pq.read_table(tmp_path / "copy" / "clip").num_rows == len(read(store, "clip"))
