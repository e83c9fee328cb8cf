"""A worker for each GPU: what it sees, its share of the machine, and what comes of it. No GPU is needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import pytest

from extract.engine.meter import Reading
from extract.errors import DeviceUnusable
from pipeline import Cluster, RunProgress
from pipeline.cli.display import status_line
from pipeline.work import cluster as module
from pipeline.work.cluster import DaskWorkers
from pipeline.work.config import RunConfig, usable_cores
from pipeline.work.host import HostSetup, engine_settings
from pipeline.work.jobs import OutOfUse
from pipeline.work.worker_status import WorkerStatus
from tests.pipeline.runs import TABLES, contents, go, in_order

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")
PRETENDED = Path(__file__).parents[2] / "fixtures" / "pretend_cuda.py"
NAMES = [f"{kind}-0000000{i}-aaaa-bbbb-cccc-000000000000" for i, kind in enumerate(("GPU", "MIG", "MIG"))]


@pytest.fixture(autouse=True)
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.work.cluster.chosen_gpus", lambda text: NAMES[: len(text.split(","))])


def test_a_worker_sees_its_gpu_alone_and_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import Client

    monkeypatch.setattr(module, "usable_cores", lambda: 13)
    cluster = Cluster(gpus="0,1,2")
    with module._local_cluster(cluster) as started, Client(started) as client:
        assert sorted(client.run(os.getenv, "CUDA_VISIBLE_DEVICES").values()) == NAMES
        assert set(client.run(os.getenv, "OMP_NUM_THREADS").values()) == {"4"}
    assert module.cores_of_a_worker(cluster) == 4


def test_workers_of_a_scheduler_share_their_machine() -> None:
    """Those that somebody else started: each counts who else is there."""
    from distributed import Client, LocalCluster, get_worker

    from pipeline.work.worker import _sharers

    with (
        LocalCluster(n_workers=3, host="127.0.0.1", dashboard_address=None) as started,
        Client(started) as client,
    ):
        found = [client.submit(lambda _: _sharers(get_worker()), i, workers=[i]).result() for i in range(3)]
    assert found == [3, 3, 3]


@pytest.mark.usefixtures("planted_experts")
def test_several_gpus_give_the_rows_of_one_process(videos: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "features"
    with dask.config.set({"distributed.worker.preload": [str(PRETENDED)]}):
        go(videos, out, device="auto", cluster=Cluster(gpus="0,1"))
    mine, theirs = contents(out), contents(whole)
    for name in (*TABLES, "coverage", "failures", "videos"):
        assert in_order(mine[name]) == in_order(theirs[name])


def losing(gpu: str | None) -> dict[str, dict[str, str | None]]:
    says = "CUDA error: CUDA-capable device(s) is/are busy or unavailable"
    return {"scenes": {"detector": "content"}, "trouble": {"kind": "device", "says": says, "gpu": gpu}}


@pytest.mark.usefixtures("planted_experts")
def test_a_run_goes_on_without_a_gpu_that_is_lost(videos: Path, tmp_path: Path) -> None:
    progress, cluster = RunProgress(), Cluster(gpus="0,1")
    with dask.config.set({"distributed.worker.preload": [str(PRETENDED)]}):
        report = go(
            videos,
            tmp_path,
            options=losing(NAMES[0]),
            device="auto",
            cluster=cluster,
            progress=progress,
            shard_size=1,
        )
    assert (report.states["trouble"]["ok"], progress.deaths) == (7, 0)
    (warning,) = progress.warnings
    assert "busy or unavailable" in warning


@pytest.mark.usefixtures("planted_experts")
def test_a_run_ends_with_its_last_gpu(videos: Path, tmp_path: Path) -> None:
    with (
        dask.config.set({"distributed.worker.preload": [str(PRETENDED)]}),
        pytest.raises(DeviceUnusable, match="busy or unavailable"),
    ):
        go(videos, tmp_path, options=losing(None), device="auto", cluster=Cluster(gpus="0,1"), shard_size=1)


def test_the_status_line_shows_each_gpus_busy_share() -> None:
    shares = {"decode": 0.5, "host": 0.25, "write": 0.0}
    workers = [
        WorkerStatus(name, reading=Reading({**shares, "device": busy}, {}, {}, {}, 0.0, 0, 0), gpu=name)  # type: ignore[dict-item]
        for name, busy in zip(NAMES, (0.93, 0.9, 1.0), strict=True)
    ]
    progress = RunProgress(place="tls://host:1 (dashboard: http://host:2)")
    progress.show([*workers, WorkerStatus("still starting", gpu="GPU-9")])
    line = status_line(progress, verbose=True)
    assert "GPUs: GPU-00000000 93%, MIG-00000001 90%, MIG-00000002 100%" in line
    assert "4 workers of tls://host:1 (dashboard: http://host:2)" in line


def test_decoders_and_host_threads_follow_the_share(tmp_path: Path) -> None:
    from pipeline.work.config import RunConfig

    config = RunConfig(videos=tmp_path, out=tmp_path / "out", experts=("scenes",))
    settings = engine_settings(config, "cuda:0", cores=4)
    assert (settings.decoders, settings.host_threads) == (4, 4)
    assert engine_settings(config, "cuda:0").host_threads == usable_cores()


def test_of_many_workers_five_may_be_lost(tmp_path: Path) -> None:
    """Dask before 2026.7 tells of five workers unless it is asked for all: a scheduler is pretended."""
    names = [f"tcp://w{number}" for number in range(7)]

    class Client:
        retired: ClassVar[list[str]] = []

        def register_plugin(self, plugin: object, *, name: str) -> None: ...

        def scheduler_info(self, n_workers: int = 5) -> dict[str, Any]:
            shown = names if n_workers == -1 else names[:n_workers]
            return {"workers": {name: {"metrics": {}} for name in shown}}

        def retire_workers(self, workers: list[str], *, close_workers: bool) -> None:
            self.retired.extend(workers)

    config = RunConfig(videos=tmp_path, out=tmp_path / "out", experts=("scenes",))
    client: Any = Client()
    workers = DaskWorkers(client, HostSetup(config, tmp_path, {}, "token"), RunProgress())
    assert workers.slots == 2 * len(names)
    for name in names[:6]:
        workers._retire(OutOfUse(name, "busy"))
    assert client.retired == names[:6]
    with pytest.raises(DeviceUnusable, match="busy"):
        workers._retire(OutOfUse(names[6], "busy"))
