from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from extract.errors import StoreError
from pipeline.store.layout import Store, open_store
from pipeline.store.lock import writing
from pipeline.store.parts import merge_part
from pipeline.store.reading import dataset, read


def test_a_store_is_made_of_a_new_or_empty_folder(tmp_path: Path) -> None:
    assert open_store(tmp_path / "new" / "deep", create=True).root.is_dir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".gitkeep").touch()
    open_store(tmp_path / "empty", create=True)
    (tmp_path / "killed" / "videos").mkdir(parents=True)
    (tmp_path / "killed" / "videos" / ".tmp-part-00000.parquet-1-ab").touch()
    open_store(tmp_path / "killed", create=True)


def test_other_folders_and_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "photos" / "videos").mkdir(parents=True)
    (tmp_path / "photos" / "videos" / "me.mp4").touch()
    for name, message in (
        ("file", "is a file"),
        ("photos", "contains other files"),
        (os.fsdecode(b"\xff"), "not UTF-8"),
        ("file/below", "cannot write"),
    ):
        with pytest.raises(StoreError, match=message) as caught:
            open_store(tmp_path / name, create=True)
        assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="not a feature store"):
        open_store(tmp_path / "photos")
    with pytest.raises(StoreError, match="not a feature store"):
        open_store(tmp_path / "nowhere")


def test_run_record_keeps_the_experts_of_earlier_runs(kit: Any) -> None:
    store, clip, ocr = kit.store(), kit.target("clip"), kit.target("ocr")
    text = kit.target("text", upstream=[ocr])
    kit.record(store, clip, ocr, text)
    assert store.targets() == [clip, ocr, text]
    kit.record(store, kit.target("clip", hop=2.0))
    assert store.targets() == [kit.target("clip", hop=2.0), ocr, text]
    kit.record(store, kit.target("ocr", engine="other"))
    assert [target.expert for target in store.targets()] == ["clip", "ocr"]  # text was read from the old ocr


def test_a_run_record_that_cannot_be_used_is_said_so(kit: Any) -> None:
    store = kit.store()
    assert store.run_record() == {} and store.targets() == []
    for text, message in (
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"format": 99}', "newer marquee"),
    ):
        store.run_path.write_text(text)
        with pytest.raises(StoreError, match=message):
            store.targets()
    kit.out.joinpath("run.json").unlink()
    kit.record(store, kit.target())
    assert json.loads(store.run_path.read_text())["format"] == 1


def test_reading_selects_one_fingerprint(kit: Any) -> None:
    store, old, new = kit.store(), kit.target(hop=1.0), kit.target(hop=2.0)
    for shard, target, names in ((0, old, "ab"), (1, old, "c"), (0, new, "b")):
        merge_part(store, kit.header(target, shard), [kit.ok(name) for name in names])
    kit.record(store, old)
    assert set(read(store, "clip")["video_id"].to_pylist()) == {"a", "b", "c"}
    assert set(read(kit.out, "clip", video_ids=["c"], columns=["video_id"])["video_id"].to_pylist()) == {"c"}
    assert set(read(store, "clip", fingerprint=new.fingerprint)["video_id"].to_pylist()) == {"b"}
    kit.record(store, new)
    assert dataset(store, "clip").count_rows() == sum(len(batch) for batch in kit.batches("b"))
    store.run_path.unlink()
    newest = store.part_path("clip", shard=0, fingerprint=old.fingerprint)
    os.utime(newest, (2e9, 2e9))
    assert set(read(store, "clip")["video_id"].to_pylist()) == {"a", "b", "c"}
    with pytest.raises(StoreError, match="it has " + min(old.fingerprint, new.fingerprint)):
        read(store, "clip", fingerprint="0" * 12)
    with pytest.raises(StoreError, match="no table 'clap'; it has videos, clip"):
        read(store, "clap")


def test_reading_does_not_take_the_path_for_data(kit: Any, tmp_path: Path) -> None:
    """A folder called key=value is no partition column of ours."""
    store = open_store(tmp_path / "year=2024", create=True)
    merge_part(store, kit.header(kit.target()), [kit.ok("a")])
    assert "year" not in read(store, "clip").schema.names


def test_a_second_writer_is_told_who_the_first_is(kit: Any) -> None:
    store = kit.store()
    with writing(store, command="python -m extract"):
        with (
            pytest.raises(StoreError, match=f"being written by pid {os.getpid()} on .* since 20"),
            writing(store),
        ):
            pass
        with pytest.raises(StoreError, match="wait for it or stop it"), writing(store):
            pass
    with writing(store):
        pass


def test_a_lock_dies_with_its_holder_and_half_written_files_go(kit: Any) -> None:
    store = kit.store()
    code = (
        "import os, sys, signal; from pathlib import Path\n"
        "from pipeline.store.lock import writing; from pipeline.store.layout import Store\n"
        "with writing(Store(Path(sys.argv[1]))):\n"
        "    running, runs = os.pipe()\n"
        "    child = os.fork()\n"
        "    if child == 0: import time; os.write(runs, b'x'); time.sleep(30); os._exit(0)\n"
        "    os.read(running, 1)\n"
        "    print(child, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[3]
    holder = subprocess.Popen([sys.executable, "-c", code, str(store.root)], cwd=root, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    holder.wait()
    holder.stdout.close()
    stale = [store.root / ".tmp-run.json-1-ab", store.root / "clip" / ".tmp-part-00000-x.parquet-1-ab"]
    stale[1].parent.mkdir()
    mine = store.root / "clip" / "notes.txt"
    for path in (*stale, mine):
        path.touch()
    try:
        with writing(store):  # the forked child is alive and does not hold it
            assert [path.exists() for path in (*stale, mine)] == [False, False, True]
    finally:
        os.kill(child, 9)


def test_a_folder_that_cannot_be_locked_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write"), writing(Store(tmp_path / "gone")):
        pass
