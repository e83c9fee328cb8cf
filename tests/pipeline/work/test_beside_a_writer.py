"""Whoever looks at a store while a run writes it sees a store; one that is taken away ends the run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from extract.errors import StoreError
from pipeline import read
from pipeline.storage.location import kinds, sizes
from pipeline.store.contents import entries
from pipeline.store.layout import open_store
from pipeline.store.status import status
from pipeline.store.verify import verify
from tests.pipeline.runs import ROOT, contents, go, in_order, start

WRITER = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("kit", sys.argv[1])
kit_module = importlib.util.module_from_spec(spec)
sys.modules["kit"] = kit_module
spec.loader.exec_module(kit_module)
from pipeline.store.coverage import write_derived
from pipeline.store.lock import writing
from pipeline.store.parts import merge_part
from pipeline.store.videos import read_shards, update_videos
kit = kit_module.Kit.__new__(kit_module.Kit)
kit.videos, kit.out = Path(sys.argv[2]) / "clips", Path(sys.argv[2]) / "out"
store, target = kit.store(), kit.target("clip")
with writing(store):
    print("ready", flush=True)
    for number in range(int(sys.argv[3])):
        for shard in read_shards(store):
            update_videos(store, shard.index, {shard.videos[0].video_id: {"fps": float(number + 1)}})
            for video in shard.videos:
                merge_part(store, kit.header(target, shard.index), [kit.ok(video.video_id)])
        kit.record(store, target)
        write_derived(store, read_shards(store), store.targets(), [])
"""


def test_all_that_reads_may_do_so_while_a_run_writes(kit: Any, tmp_path: Path) -> None:
    kit.add(*(f"{name}.mp4" for name in "abcdef"))
    planned, store, target = kit.plan(shard_size=2), kit.store(), kit.target("clip")
    kit.fill(store, planned.shards, target)
    fixture = ROOT / "tests" / "pipeline" / "conftest.py"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(fixture), str(tmp_path), "8"], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
    rows = sum(len(batch) for name in "abcdef" for batch in kit.batches(name))
    looks = 0
    while writer.poll() is None:
        looks += 1
        assert status(store).complete
        assert len(read(store, "clip")) == rows and len(read(store, "videos")) == 6
        report = verify(store)
        assert [
            problem for problem in report.problems if not problem.startswith(("coverage", "failures"))
        ] == []
        assert {entry.role for entry in entries(store.root)} <= {"own", "leftover"}
        assert sizes(store.root / "clip") and kinds(store.root)
    writer.stdout.close()
    assert writer.returncode == 0 and looks > 1
    assert verify(store).problems == ()


@pytest.mark.usefixtures("planted_experts")
@pytest.mark.parametrize(("gone", "workers"), [(".", "1"), ("run.json", "0"), ("videos", "1")])
def test_a_store_that_is_taken_away_ends_the_run_in_one_line(
    videos: Path, whole: Path, tmp_path: Path, gone: str, workers: str
) -> None:
    out = tmp_path / "features"
    process = start(videos, out, "--workers", workers, "--set", "trouble.seconds=0.5")
    deadline = time.monotonic() + 60
    while not list(out.glob("trouble/part-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    place = out / gone
    place.rename(tmp_path / "taken")  # at once: the writer makes files while a folder is emptied
    text = process.communicate(timeout=120)[0].decode()
    assert process.returncode == 2 and "Traceback" not in text, text
    assert [line for line in text.splitlines() if line.startswith("error: ")], text
    if gone == ".":
        assert not out.exists(), "nothing is made again in its place"
    assert (
        go(videos, out, options={"scenes": {"detector": "content"}, "trouble": {"seconds": 0.5}}).failed == 3
    )
    assert verify(open_store(out)).clean
    # A plan that is lost is made anew of what was written: the same rows, perhaps in other shards.
    assert in_order(contents(out)["scenes"]) == in_order(contents(whole)["scenes"])


def test_what_a_removed_store_left_is_a_store_to_begin_with(kit: Any) -> None:
    """Files of ours alone, as an older run wrote them after its folder was removed."""
    kit.add("a.mp4")
    store, planned = kit.store(), kit.plan()
    kit.fill(store, planned.shards, kit.target("clip"))
    root = Path(str(store.root))
    (root / "run.json").unlink()
    shutil.rmtree(root / "videos")
    (root / "coverage.parquet").write_bytes(b"PAR1")
    (root / ".tmp-run.json-1-0123abcd").touch()
    assert kit.plan().shards == planned.shards and open_store(root, create=True).root == root
    shutil.rmtree(root / "videos")
    (root / "clip" / "mine.txt").touch()
    with pytest.raises(StoreError, match="contains other files"):
        open_store(root, create=True)
