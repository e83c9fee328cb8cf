"""What is finished is written within the promised time, whatever the last video of its shard does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.store.layout import open_store
from pipeline.store.todo import todo
from pipeline.store.verify import verify
from pipeline.store.videos import read_shards
from tests.pipeline.runs import ROOT, contents, go

pytestmark = pytest.mark.usefixtures("planted_experts")

CHECKPOINT_SECONDS = 3.0
RUN = """
import sys
from pathlib import Path
from pipeline import Cluster, run
run(Path(sys.argv[1]), Path(sys.argv[2]), shard_size=8, checkpoint_seconds=float(sys.argv[4]), decoders=2,
   experts=("trouble", "spectrogram"), device="cpu",
   options={"scenes": {"detector": "content"}, "trouble": {"kind": "hang", "file": "video 3"}},
   cluster=Cluster(workers=int(sys.argv[3])))
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_kill_while_the_last_video_of_a_shard_runs_loses_only_that_one(
    videos: Path, tmp_path: Path, workers: str
) -> None:
    """All others come back within one period, so that no event comes after it has passed."""
    folder, out = Path(shutil.copytree(videos, tmp_path / "videos")), tmp_path / "features"
    arguments = [str(folder), str(out), workers, str(CHECKPOINT_SECONDS)]
    process = subprocess.Popen([sys.executable, "-c", RUN, *arguments], cwd=ROOT, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while _left(out) != {"video 3"}:
            assert process.poll() is None and time.monotonic() < deadline, _left(out)
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    report = go(folder, out, shard_size=8)
    assert (report.computed, report.failed) == (8, 3), "the option is another one now"
    assert verify(open_store(out)).clean
    assert set(contents(out)["trouble"]["video_id"]) == {path.stem for path in folder.glob("*.mp4")} - {
        "text"
    }


def _left(out: Path) -> set[str]:
    """The videos that are not written yet; none before there is a plan."""
    if not (out / "run.json").exists():
        return set()
    store = open_store(out)
    return {video_id for shard in read_shards(store) for video_id in todo(store, shard, store.targets())}
