"""Videos are taken out of a store, and a kill at any instant of it loses nothing else."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from extract.errors import UsageError
from pipeline.store.coverage import write_derived
from pipeline.store.footer import read_footer
from pipeline.store.layout import Store
from pipeline.store.lock import writing
from pipeline.store.reading import read
from pipeline.store.removal import finish_removal, remove, take_back
from pipeline.store.verify import verify
from pipeline.store.videos import read_shards
from tests.pipeline.runs import ROOT

# Imports once, then forks for each store that it is told of; a child is killed before one of its writes.
KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.store.layout import Store
from pipeline.store.lock import writing
from pipeline.store.removal import remove

def removal(root, writes):
    left, replace = writes, os.replace

    def deadly(*arguments, **options):
        nonlocal left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        replace(*arguments, **options)

    os.replace = deadly
    store = Store(Path(root))
    with writing(store):
        remove(store, ["b", "d"])

for line in sys.stdin:
    writes, root = line.rstrip().split(" ", 1)
    child = os.fork()
    if not child:
        removal(root, int(writes))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class KilledRemovals:
    """Removals of two videos, each in a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", KILLED]
        self._process = subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __call__(self, store: Store, writes: int) -> int:
        """The exit status of a removal that is killed after so many writes."""
        assert self._process.stdin and self._process.stdout
        print(writes, store.root, file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def killed_removal() -> Iterator[KilledRemovals]:
    with contextlib.closing(KilledRemovals()) as removals:
        yield removals


@pytest.fixture
def store(kit: Any) -> Store:
    """Two shards of two videos, two experts and older rows of one of them."""
    kit.add("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    planned, store = kit.plan(shard_size=2), kit.store()
    kit.fill(store, planned.shards, kit.target("clip", hop=2.0))
    kit.fill(store, planned.shards, kit.target("clip"), kit.target("text"))
    write_derived(store, planned.shards, store.targets())
    assert verify(store).clean
    return store  # type: ignore[no-any-return]


def ids(store: Store) -> set[str]:
    """Every id that some file of the store has."""
    found = {video.video_id for shard in read_shards(store) for video in shard.videos}
    for table in store.tables():
        for part in store.parts(table):
            found |= set(read_footer(part.path).videos)
            found |= set(pq.read_table(part.path)["video_id"].to_pylist())
    return found | set(pq.read_table(store.root / "coverage.parquet")["video_id"].to_pylist())


def test_nothing_of_a_removed_video_is_left(store: Store) -> None:
    before = [row for row in read(store, "clip").to_pylist() if row["video_id"] != "b"]
    assert remove(store, ["b"]) == (["b"], [])
    assert ids(store) == {"a", "c", "d"}
    assert read(store, "clip").to_pylist() == before
    assert verify(store).clean
    assert remove(store, ["b", "a"]) == (["a"], ["b"])
    assert verify(store).clean and ids(store) == {"c", "d"}


def test_names_may_be_paths_patterns_and_of_either_form_of_unicode(kit: Any) -> None:
    kit.add("cafe\u0301.mp4", "old/1.mp4", "old/2.mp4", "x[1].mp4", "x1.mp4", "y.mp4")
    kit.plan()
    store = kit.store()
    assert remove(store, ["caf\u00e9"])[0] == ["cafe\u0301"]
    assert remove(store, ["old/*"])[0] == ["old/1", "old/2"]
    assert remove(store, ["x[1]"])[0] == ["x[1]"]
    assert remove(store, ["y.mp4"])[0] == ["y"]
    assert [video.video_id for video in read_shards(store)[0].videos] == ["x1"]


def test_unknown_names_remove_nothing(store: Store) -> None:
    with pytest.raises(UsageError, match=r"no video 'bb' \(1 of 2 names unknown.*did you mean 'b'\?"):
        remove(store, ["a", "bb"])
    with pytest.raises(UsageError, match=r"'\?\?'"):
        remove(store, ["??"])
    assert ids(store) == set("abcd")


def test_removed_files_stay_out_until_they_are_taken_back(kit: Any, store: Store) -> None:
    remove(store, ["b", "c"])
    found = kit.scan().without(store.removed())
    assert [entry.raw for entry in found.inputs] == [b"a.mp4", b"d.mp4"]
    assert [(entry.raw, entry.reason.partition(";")[0]) for entry in found.ignored] == [
        (b"b.mp4", "removed from the store"), (b"c.mp4", "removed from the store")
    ]  # fmt: skip
    assert take_back(store, ["b"]) == ["b"]
    assert kit.scan().without(store.removed()).ignored == found.ignored[1:]
    with pytest.raises(UsageError, match="'a'"):
        take_back(store, ["a"])


def test_the_record_of_a_run_keeps_what_was_removed(kit: Any, store: Store) -> None:
    remove(store, ["b"])
    kit.record(store, kit.target("clip"))
    assert store.removed() == {"b.mp4": "b"}


@pytest.mark.parametrize("by_a_run", [False, True])
def test_a_removal_killed_at_any_write_is_finished_by_the_same_call(
    store: Store, tmp_path: Path, killed_removal: KilledRemovals, by_a_run: bool
) -> None:
    whole, writes = store, 0
    kept = [row for row in read(whole, "clip").to_pylist() if row["video_id"] in "ac"]
    while True:
        store = Store(Path(shutil.copytree(str(whole.root), tmp_path / str(writes))))
        status = killed_removal(store, writes)
        for table in store.tables():
            for part in store.parts(table):
                read_footer(part.path)  # whole, whatever the instant
        assert [row for row in read(store, "clip").to_pylist() if row["video_id"] in "ac"] == kept
        if status == 0:
            break
        assert status == -signal.SIGKILL
        if 0 < writes < 8:
            assert verify(store).problems[0].startswith("2 videos are half removed")
        with writing(store):
            if by_a_run:
                finish_removal(store, read_shards(store))
            else:
                remove(store, ["b", "d"])
        assert ids(store) == ({"a", "c"} if writes or not by_a_run else set("abcd"))
        assert verify(store).clean
        writes += 3 if by_a_run else 1
    assert writes > 8
