"""What goes wrong around a run: nothing written is lost, one line says why, the same command goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from extract.errors import StoreError
from pipeline import read
from pipeline.store.layout import open_store
from pipeline.store.lock import writing
from pipeline.store.verify import verify
from pipeline.work.plan import Plan, plan
from tests.pipeline.runs import SLOW, contents, go, resume, start

pytestmark = pytest.mark.usefixtures("planted_experts")

WHO = pytest.mark.parametrize("workers", ["0", "1"])
CLOCK = """
import time
_time, _file = time.time, __file__.replace("sitecustomize.py", "ahead")

def _jumping():
    with open(_file) as file:
        seconds = float(file.read())
    open(f"{_file} {seconds:.0f}", "w").close()
    return _time() + seconds

time.time = _jumping
"""

STUCK = """
import os, time
from extract.expert import Column, Expert, Streams, TableSpec, Tap
from extract.types import Item

class _Tap(Tap):
    def scene(self, scene, keyframe):
        yield Item(scene.start_seconds, scene.end_seconds, columns={"scene": scene.index})

class Stuck(Expert):
    summary = "computes a batch for an hour and says that it does"
    upstream = ("scenes",)

    def tables(self):
        return {self.name: TableSpec((Column("scene", "int32", "scene"),))}

    def streams(self):
        return Streams(keyframes=True)

    def tap(self, media):
        return _Tap()

    def load(self, resources):
        def compute(items):
            open(os.environ["STUCK"], "w").close()
            time.sleep(3600)
        return compute
"""


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._mount("-t", "tmpfs", "-o", "size=4m", "none")

    def leave(self, size_bytes: int) -> None:
        """Fill all but so much."""
        ballast = self.folder / "ballast"
        ballast.unlink(missing_ok=True)
        free = os.statvfs(self.folder)
        ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_bsize - size_bytes)))

    def read_only(self, *, on: bool) -> None:
        self._mount("-o", f"remount,{'ro' if on else 'rw'}")

    def end(self) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    def _mount(self, *arguments: str) -> None:
        done = subprocess.run(["mount", *arguments, self.folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no mounting here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.getuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.end()


def finish(process: subprocess.Popen[bytes]) -> tuple[int, list[str]]:
    """Exit status and lines of a command; there is never a traceback among them."""
    text = process.communicate(timeout=240)[0].decode()
    assert "Traceback" not in text, text
    return process.returncode, text.strip().splitlines()


def until(process: subprocess.Popen[bytes], condition: Callable[[], object]) -> None:
    """Wait for something that a run does before it ends."""
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.02)


def catches(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether a process has a handler for a signal."""
    text = Path(f"/proc/{process.pid}/status").read_text()
    return bool(int(text.partition("SigCgt:")[2].split()[0], 16) >> (number - 1) & 1)


def stored(out: Path) -> set[tuple[str, str, int]]:
    """All rows of all parts: table, video, number."""
    found = set()
    for path in out.glob("*/part-*"):
        if path.parent.name != "videos":
            table = pq.read_table(path, columns=["video_id", "row"]).to_pydict()
            found |= {(path.parent.name, *row) for row in zip(*table.values(), strict=True)}
    return found


def used_bytes(folder: Path) -> int:
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


def test_a_full_disk(videos: Path, whole: Path, disk: Disk) -> None:
    """The workers' errors reach the driver; a disk without any room is met by the driver itself."""
    out = disk.folder / "features"
    disk.leave(used_bytes(whole) * 2 // 3)
    status, lines = finish(start(videos, out, "--workers", "2"))
    assert status == 2, lines
    assert lines[-1].startswith("error: cannot write") and "No space left on device" in lines[-1]
    assert "free some space and run again; what was already written is kept" in lines[-1]
    before = stored(out)
    assert before
    disk.leave(3 << 20)
    assert resume(videos, out).exit_status == 3
    assert stored(out) >= before
    assert contents(out) == contents(whole)
    assert verify(open_store(out)).clean


def test_a_disk_without_any_room(videos: Path, disk: Disk) -> None:
    disk.leave(0)
    status, lines = finish(start(videos, disk.folder / "features"))
    assert status == 2 and len(lines) == 1
    assert lines[0].startswith("error: cannot write") and "No space left on device" in lines[0]


def test_a_full_folder_for_temporary_files(
    videos: Path, whole: Path, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows wait there until they are written, if they are many."""
    out = tmp_path / "features"
    with monkeypatch.context() as patch:
        patch.setattr("extract.engine.rows.SEAL_BYTES", 0)
        patch.setattr(tempfile, "tempdir", str(disk.folder))
        disk.leave(0)
        message = f"cannot write '{disk.folder}.*: No space left on device .* set TMPDIR"
        with pytest.raises(StoreError, match=message):
            go(videos, out)
    assert go(videos, out).exit_status == 3
    assert contents(out) == contents(whole)


def test_a_store_that_cannot_be_written(videos: Path, whole: Path, disk: Disk) -> None:
    out = disk.folder / "features"
    assert go(videos, out, experts=("scenes",)).exit_status == 3
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    disk.read_only(on=True)
    status, lines = finish(start(videos, out))
    assert status == 2 and len(lines) == 1
    assert "Read-only file system" in lines[0] and "give --out a folder that can be written" in lines[0]
    assert {path: path.read_bytes() for path in before} == before
    disk.read_only(on=False)
    assert resume(videos, out).exit_status == 3
    assert contents(out) == contents(whole)


def test_files_that_vanish_or_grow_after_they_were_found(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on without the one; the other is taken up as it is, and once more by the next run."""
    folder = Path(shutil.copytree(videos, tmp_path / "videos"))
    (folder / "text.mp4").unlink()
    gone, grown = folder / "video 1.mp4", folder / "video 2.mp4"

    def plan_then_change(*arguments: Any, **options: Any) -> Plan:
        planned = plan(*arguments, **options)
        gone.unlink()
        with grown.open("ab") as file:
            file.write(b"more")
        return planned

    out = tmp_path / "features"
    with monkeypatch.context() as patch:
        patch.setattr(import_module("pipeline.work.run"), "plan", plan_then_change)
        report = go(folder, out)
    failures = pq.read_table(out / "failures.parquet").to_pylist()
    assert report.exit_status == 3 and {row["video_id"] for row in failures} == {"video 1"}
    assert all("No such file" in row["message"] for row in failures)
    assert verify(open_store(out)).clean
    again = go(folder, out)
    assert (again.computed, again.failed) == (1, 3)
    shutil.copy(videos / "video 1.mp4", gone)
    assert go(folder, out, retry_failed=True).exit_status == 0
    assert set(read(out, "trouble").to_pydict()["video_id"]) == {p.stem for p in folder.glob("*.mp4")}


@pytest.mark.parametrize(("workers", "jumps"), [("0", (86400, -86400)), ("2", (86400,))])
def test_a_clock_that_jumps(
    videos: Path,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: str,
    jumps: tuple[int, ...],
) -> None:
    """Set ahead or back while parts are written; Dask's messages wait as long as a clock is set back."""
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(CLOCK)
    ahead, out = folder / "ahead", tmp_path / "features"
    ahead.write_text("0")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    process = start(videos, out, "--workers", workers, "--shard-size", "1")
    for parts, seconds in enumerate(jumps, 1):
        until(process, lambda: len(list(out.glob("trouble/part-*"))) >= parts)  # noqa: B023
        new = folder / "new"
        new.write_text(str(seconds))
        new.replace(ahead)
    status, lines = finish(process)
    assert status == 3 and "workers died" not in "".join(lines), lines
    seen = {path.name for path in folder.glob("ahead *")}
    assert "ahead 0" in seen and (workers == "0" or "ahead 86400" in seen)
    assert contents(out) == contents(whole)
    assert verify(open_store(out)).clean


@WHO
def test_sigterm_writes_what_is_finished(videos: Path, whole: Path, tmp_path: Path, workers: str) -> None:
    """As at the end of a batch job's time; it goes to the driver alone."""
    out = tmp_path / "features"
    seconds = 0.5
    arguments = ("--set", f"trouble.seconds={seconds}", "--shard-size", "2")
    process = start(videos, out, "--workers", workers, *arguments)
    until(process, lambda: list(out.glob("trouble/part-*")))
    process.send_signal(signal.SIGTERM)
    status, lines = finish(process)
    assert status == 130, lines
    assert lines[-2] == "stopped by a signal; what was finished is written: run the same command to resume"
    before = stored(out)
    assert before
    options = {**SLOW, "trouble": {"seconds": seconds}}
    assert resume(videos, out, options=options, shard_size=2).exit_status == 3
    assert stored(out) >= before
    assert contents(out) == contents(whole)
    assert verify(open_store(out)).clean


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc that says who handles signals")
@WHO
def test_a_second_sigint_leaves_at_once(
    videos: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """While a batch is computed that takes an hour."""
    out, computing = tmp_path / "features", tmp_path / "computing"
    assert resume(videos, out).exit_status == 3
    (tmp_path / "stuck.py").write_text(STUCK)
    monkeypatch.setenv("MARQUEE_EXPERTS", os.pathsep.join([os.environ["MARQUEE_EXPERTS"], str(tmp_path)]))
    monkeypatch.setenv("STUCK", str(computing))
    process = start(videos, out, "--experts", "trouble,stuck", "--workers", workers)
    until(process, computing.exists)
    below = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    until(process, lambda: not catches(process, signal.SIGTERM))  # so it has taken up the first one
    os.killpg(process.pid, signal.SIGINT)
    status, lines = finish(process)
    assert (status, lines[-1]) == (
        130,
        "left at once; what was written is kept: a run resumes by the same command",
    )
    _, alive = psutil.wait_procs(below, timeout=30)
    assert not alive
    assert contents(out) == contents(whole)
    with writing(open_store(out)):
        pass
