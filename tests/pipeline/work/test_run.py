"""Whole runs on real stores: resume by validity, failures as records, kills at any instant."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from extract.errors import StoreError, UsageError
from pipeline import read
from pipeline.store.layout import open_store
from pipeline.store.lock import writing
from pipeline.store.verify import verify
from tests.pipeline.runs import TABLES, contents, go, in_order, resume, start

pytestmark = pytest.mark.usefixtures("planted_experts")


def test_every_file_has_a_state(whole: Path) -> None:
    coverage = pq.read_table(whole / "coverage.parquet").to_pylist()
    states = {(row["video_id"], row["expert"]): row["state"] for row in coverage}
    assert len(states) == 8 * 3
    assert states["loud", "spectrogram"] == "ok"
    assert states["video 0", "spectrogram"] == "absent"
    assert states["video 0", "trouble"] == "ok"
    failures = pq.read_table(whole / "failures.parquet").to_pylist()
    assert [(row["video_id"], row["expert"]) for row in failures] == [
        ("text", "scenes"), ("text", "spectrogram"), ("text", "trouble")
    ]  # fmt: skip
    assert pq.read_table(whole / "ignored.parquet")["path"].to_pylist() == ["notes.txt"]
    assert verify(open_store(whole)).clean


def test_a_second_run_does_nothing(videos: Path, whole: Path, tmp_path: Path) -> None:
    out = shutil.copytree(whole, tmp_path / "features")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("part-*")}
    assert go(videos, out).computed == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("part-*")} == before


def test_shards_and_checkpoints_leave_no_trace_in_the_rows(videos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "features"
    go(videos, out, shard_size=8, checkpoint_seconds=1e-9, batch_size=1, decoders=1)
    mine, theirs = contents(out), contents(whole)
    for name in (*TABLES, "coverage", "failures", "videos"):
        assert in_order(mine[name]) == in_order(theirs[name])


def test_an_expert_added_later_equals_one_from_the_start(videos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "features"
    go(videos, out, experts=("scenes",))
    scenes = read(out, "scenes").to_pydict()
    go(videos, out, experts=("trouble", "spectrogram"))
    assert read(out, "scenes").to_pydict() == scenes
    assert contents(out) == contents(whole)


def test_a_changed_option_recomputes_that_expert_and_those_below_it(
    videos: Path, whole: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(whole, tmp_path / "features")
    before = {path.name for path in out.rglob("part-*")}
    go(videos, out, options={"scenes": {"detector": "content", "threshold": 40.0}})
    new = {path.parent.name for path in out.rglob("part-*") if path.name not in before}
    assert new == {"scenes", "trouble"}


def test_failures_are_taken_up_again_only_when_asked(videos: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(videos, tmp_path / "videos")
    options = {"scenes": {"detector": "content"}, "trouble": {"kind": "model", "file": "video 1"}}
    out = tmp_path / "features"
    assert go(folder, out, options=options).failed == 4  # three of text.mp4, one planted
    shutil.copy(folder / "video 2.mp4", folder / "text.mp4")  # mended: another size
    report = go(folder, out, options=options)
    assert (report.computed, report.failed) == (1, 1)
    assert go(folder, out, options=options).computed == 0
    assert go(folder, out, options=options, retry_failed=True).computed == 1
    (failure,) = pq.read_table(out / "failures.parquet").to_pylist()
    assert (failure["video_id"], failure["attempts"]) == ("video 1", 2)


def test_added_and_removed_videos(videos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(videos / "video 0.mp4", folder / "b.mp4")
    out = tmp_path / "features"
    go(folder, out)
    first = read(out, "trouble").to_pydict()
    (folder / "b.mp4").unlink()
    shutil.copy(videos / "video 1.mp4", folder / "a.mp4")
    report = go(folder, out)
    assert (report.videos, report.computed, report.failed) == (2, 1, 0)
    both = read(out, "trouble").to_pydict()
    assert set(both["video_id"]) == {"a", "b"}
    assert first["video_id"] == ["b"] * len(first["video_id"])


def test_a_second_writer_is_refused(videos: Path, whole: Path, tmp_path: Path) -> None:
    out = shutil.copytree(whole, tmp_path / "features")
    with (
        writing(open_store(out), command="the first"),
        pytest.raises(StoreError, match="is being written by pid"),
    ):
        go(videos, out)


def test_a_wrong_option_is_found_before_anything_is_written(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "features"
    with pytest.raises(UsageError, match="threshold"):
        go(videos, out, options={"scenes": {"treshold": 3}})
    assert not out.exists()


def test_kills_at_random_instants_lose_and_double_nothing(videos: Path, tmp_path: Path) -> None:
    """SIGKILL to the whole process group, 4 times, each run going on where the last was killed."""
    clock = random.Random(7)
    reference = tmp_path / "reference"
    started = time.monotonic()
    assert start(videos, reference).wait() == 3
    usual_seconds = time.monotonic() - started
    expected = contents(reference)
    kills = rounds = 0
    while kills < 4:
        rounds += 1
        out = tmp_path / f"features-{rounds}"
        while True:
            process = start(videos, out)
            try:
                status = process.wait(timeout=clock.uniform(0.1, usual_seconds))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
                continue
            assert status == 3, process.stdout.read() if process.stdout else ""
            break
        assert contents(out) == expected
        assert verify(open_store(out)).clean
        shutil.rmtree(out)


def test_sigint_writes_what_is_finished(videos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "features"
    process = start(videos, out)
    deadline = time.monotonic() + 60
    while not list(out.glob("trouble/part-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    text = process.communicate(timeout=60)[0].decode()
    assert process.returncode in (130, 3), text  # 3: it was just finished
    assert "Traceback" not in text
    if process.returncode == 130:
        assert "run the same command to resume" in text
    assert verify(open_store(out)).problems == () or process.returncode == 130
    assert resume(videos, out).exit_status == 3
    assert contents(out)["scenes"] == contents(whole)["scenes"]
