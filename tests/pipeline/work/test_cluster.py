"""Runs on Dask: the same tables whoever works, and nothing lost whoever is killed."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from extract.errors import UsageError
from pipeline import Cluster, RunProgress
from pipeline.store.layout import open_store
from pipeline.store.verify import verify
from pipeline.store.videos import Shard
from pipeline.work import cluster as cluster_module
from pipeline.work.driver import ClusterError, Workers, drive
from pipeline.work.jobs import DEATHS_TO_BLAME
from tests.pipeline.runs import ROOT, TABLES, contents, go, in_order, resume, start, workers_of

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.usefixtures("planted_experts")


def test_the_same_tables_whoever_works(videos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "features"
    progress = RunProgress()
    report = go(videos, out, cluster=Cluster(workers=2), batch_size=1, shard_size=2, progress=progress)
    assert (report.computed, report.exit_status, progress.deaths) == (8, 3, 0)
    mine, theirs = contents(out), contents(whole)
    for name in (*TABLES, "coverage", "failures", "videos"):
        assert in_order(mine[name]) == in_order(theirs[name])
    assert verify(open_store(out)).clean
    assert progress.whole is not None and sum(progress.whole.rows.values()) == report_rows(mine)
    assert not list(out.glob(".attempts/*"))


def test_the_same_tables_in_any_order(
    videos: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shuffled(shards: Sequence[Shard], workers: Workers, progress: RunProgress) -> None:
        chance, order = random.Random(4), list(shards)
        while order == list(shards):
            chance.shuffle(order)
        drive(order, workers, progress)

    monkeypatch.setattr(sys.modules["pipeline.work.run"], "drive", shuffled)
    out = tmp_path / "features"
    go(videos, out)
    assert contents(out) == contents(whole)


def report_rows(tables: dict[str, dict[str, list[object]]]) -> int:
    return sum(len(tables[name]["row"]) for name in TABLES)


def test_a_killer_video_is_found_and_recorded(videos: Path, tmp_path: Path) -> None:
    """A video on which every worker dies (SIGKILL in the model) costs itself only."""
    out = tmp_path / "features"
    options = {"scenes": {"detector": "content"}, "trouble": {"kind": "kill", "file": "video 4"}}
    progress = RunProgress()
    go(videos, out, options=options, shard_size=4, cluster=Cluster(workers=2), progress=progress)
    assert 1 < progress.deaths <= 1 + 2  # log2 of the shard's four videos
    failures = {
        (row["video_id"], row["expert"]): row for row in pq.read_table(out / "failures.parquet").to_pylist()
    }
    died = {key for key, row in failures.items() if row["error_type"] == "WorkerDied"}
    assert died == {("video 4", name) for name in TABLES}
    assert "alone" in failures["video 4", "trouble"]["message"]
    assert {key[0] for key in failures} == {"text", "video 4"}
    assert verify(open_store(out)).clean
    again = go(videos, out, options={"scenes": {"detector": "content"}})
    assert again.exit_status == 3  # trouble has other options now, so all of it is new ...
    retried = go(videos, out, options={"scenes": {"detector": "content"}}, retry_failed=True)
    assert retried.failed == 3  # ... and what else had died with the video is there again, but text.mp4


def test_killed_workers_lose_and_double_nothing(videos: Path, whole: Path, tmp_path: Path) -> None:
    """SIGKILL to workers of a LocalCluster at random instants; the run goes on by itself.

    They are one too few for a video to be blamed, should all of them hit the same.
    """
    chance = random.Random(11)
    out = tmp_path / "features"
    driver = start(videos, out, "--workers", "2")
    kills = 0
    while driver.poll() is None and kills < DEATHS_TO_BLAME - 1:
        time.sleep(chance.uniform(0.5, 3.0))
        living = workers_of(driver.pid) if driver.poll() is None else []
        if living and list(out.glob("videos/part-*")):
            chance.choice(living).kill()
            kills += 1
    text = driver.communicate(timeout=240)[0].decode()
    assert driver.returncode == 3, text
    assert kills
    counted = re.search(r"(\d+) worked on now", text)
    assert counted is not None and int(counted[1]) <= 8, text
    assert contents(out) == contents(whole)
    assert verify(open_store(out)).clean


def test_killed_drivers_lose_and_double_nothing(videos: Path, whole: Path, tmp_path: Path) -> None:
    """SIGKILL to the driver alone at random instants; its workers go with it; the same command goes on."""
    chance = random.Random(5)
    out = tmp_path / "features"
    for _ in range(2):
        driver = start(videos, out, "--workers", "2")
        try:
            assert driver.wait(timeout=chance.uniform(3.0, 9.0)) == 3
        except subprocess.TimeoutExpired:
            below = psutil.Process(driver.pid).children(recursive=True)
            driver.kill()
            driver.wait()
            _, alive = psutil.wait_procs(below, timeout=30)
            assert not alive
    assert resume(videos, out).exit_status == 3
    assert contents(out) == contents(whole)
    assert verify(open_store(out)).clean


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    cluster = Dask(tmp_path / "dask")
    yield cluster
    cluster.end()


class Dask:
    """A scheduler and two workers as their command lines start them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        log = self._folder / "scheduler.log"
        self.scheduler = self._run(log, "scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard")
        deadline = time.monotonic() + 60
        while not (match := re.search(r"Scheduler at:\s+(tcp://\S+)", log.read_text())):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        self.address = match[1]
        self.workers = [
            self._run(
                self._folder / f"worker-{i}.log", "worker", self.address, "--nthreads", "2", "--no-dashboard",
                "--local-directory", str(self._folder), "--memory-limit", "0",
            )
            for i in range(2)
        ]  # fmt: skip

    def _run(self, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            command = [sys.executable, "-m", "dask", *arguments]
            return subprocess.Popen(
                command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def end(self) -> None:
        for process in (self.scheduler, *self.workers):
            with_children = (
                [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []
            )
            process.kill()
            for child in with_children:
                child.kill()
            process.wait()


def test_a_killed_scheduler_ends_the_run_with_a_word(
    videos: Path, whole: Path, tmp_path: Path, dask: Dask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "3s")
    out = tmp_path / "features"
    driver = start(videos, out, "--scheduler", dask.address)
    deadline = time.monotonic() + 120
    while not list(out.glob("trouble/part-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    dask.scheduler.send_signal(signal.SIGKILL)
    text = driver.communicate(timeout=120)[0].decode()
    if driver.returncode != 3:  # 3: it had just finished
        assert driver.returncode == 2, text
        assert "is gone" in text and "run the same command to resume" in text
        assert "Traceback" not in text, text
    assert resume(videos, out).exit_status == 3
    assert contents(out) == contents(whole)
    assert verify(open_store(out)).clean


def test_recycled_workers_lose_no_work(videos: Path, whole: Path, tmp_path: Path) -> None:
    """Workers that start anew after every job or two: nobody is blamed."""
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(6):
        shutil.copy(videos / "video 0.mp4", folder / f"{i:02d}.mp4")
    out = tmp_path / "features"
    progress = RunProgress()
    options = {"scenes": {"detector": "content"}, "trouble": {"seconds": 0.2}}
    cluster = Cluster(workers=2, worker_lifetime_seconds=0.01)
    report = go(folder, out, options=options, shard_size=1, cluster=cluster, progress=progress)
    assert (report.computed, report.failed, progress.deaths) == (6, 0, 0)
    assert len(progress.worker_names) > 2
    assert verify(open_store(out)).clean


def test_a_worker_that_is_told_to_go_blames_nobody(videos: Path, tmp_path: Path, dask: Dask) -> None:
    """SIGTERM to ``dask worker``, as batch systems send it: what is left runs elsewhere, in one piece."""
    out = tmp_path / "features"

    def tell() -> None:
        while not list(out.glob("trouble/part-*")):
            time.sleep(0.02)
        dask.workers[0].send_signal(signal.SIGTERM)

    threading.Thread(target=tell, daemon=True).start()
    progress = RunProgress()
    options = {"scenes": {"detector": "content"}, "trouble": {"seconds": 0.5}}
    cluster = Cluster(scheduler=dask.address)
    report = go(videos, out, options=options, shard_size=2, cluster=cluster, progress=progress)
    assert (report.exit_status, progress.deaths) == (3, 0)
    assert dask.workers[0].wait(timeout=60) == 0
    assert verify(open_store(out)).clean


def test_sigint_writes_what_is_finished(videos: Path, whole: Path, tmp_path: Path) -> None:
    """Ctrl-C reaches the whole process group, as in a terminal."""
    out = tmp_path / "features"
    driver = start(videos, out, "--workers", "2")
    deadline = time.monotonic() + 120
    while not list(out.glob("trouble/part-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(driver.pid, signal.SIGINT)
    text = driver.communicate(timeout=120)[0].decode()
    assert driver.returncode in (130, 3), text  # 3: it was just finished
    assert "Traceback" not in text, text
    if driver.returncode == 130:
        assert "run the same command to resume" in text
    assert resume(videos, out).exit_status == 3
    assert contents(out) == contents(whole)


def test_no_scheduler_is_one_line(videos: Path, tmp_path: Path) -> None:
    import dask

    soon = dask.config.set({"distributed.comm.timeouts.connect": "0.5s"})
    with soon, pytest.raises(ClusterError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        go(videos, tmp_path / "features", cluster=Cluster(scheduler="tcp://127.0.0.1:9"))


def test_libraries_of_a_worker_compute_on_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Client

    monkeypatch.setattr(cluster_module, "usable_cores", lambda: 6)
    with cluster_module._local_cluster(Cluster(workers=2)) as started, Client(started) as client:
        assert set(client.run(os.getenv, "OMP_NUM_THREADS").values()) == {"3"}


def test_places_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="--workers and --gpus cannot be combined"):
        Cluster(workers=2, gpus="all")
    with pytest.raises(UsageError, match="--worker-lifetime is for workers"):
        Cluster(worker_lifetime_seconds=3600)
    with pytest.raises(UsageError, match="--workers is -1"):
        Cluster(workers=-1)


def test_workers_that_end_late_take_nothing_from_a_run(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask waits some seconds for a worker that it has killed; a busy machine may need longer."""
    close = distributed.LocalCluster.close

    def late(cluster: Any, timeout: float | None = None) -> None:
        assert timeout is not None, "one that is being started again may never end"
        close(cluster, timeout)
        raise TimeoutError

    monkeypatch.setattr(distributed.LocalCluster, "close", late)
    out = tmp_path / "features"
    assert go(videos, out, experts=("scenes",), cluster=Cluster(workers=1)).exit_status == 3
    assert verify(open_store(out)).clean
