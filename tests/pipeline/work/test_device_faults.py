"""A device that breaks under a process costs the video that breaks it, and no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from extract.errors import DeviceUnusable
from pipeline import Cluster, RunProgress
from pipeline.store.layout import open_store
from pipeline.store.verify import verify
from tests.pipeline.runs import TABLES, go

pytestmark = pytest.mark.usefixtures("planted_experts")

ILLEGAL = "CUDA error: an illegal memory access was encountered"
PLACES = [Cluster(), Cluster(workers=2)]


@pytest.fixture(scope="module")
def four(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos and a file that is none."""
    folder = tmp_path_factory.mktemp("four")
    for name in ("text", "video 1", "video 2", "video 4"):
        shutil.copy(videos / f"{name}.mp4", folder)
    return folder


def breaking(says: str, file: str) -> dict[str, dict[str, str]]:
    return {"scenes": {"detector": "content"}, "trouble": {"kind": "device", "file": file, "says": says}}


def failures(out: Path) -> set[tuple[str, str, str]]:
    rows = pq.read_table(out / "failures.parquet").to_pylist()
    return {(row["video_id"], row["expert"], row["error_type"]) for row in rows}


@pytest.mark.parametrize("cluster", PLACES, ids=["in process", "workers"])
def test_the_video_that_breaks_the_device_is_found(four: Path, tmp_path: Path, cluster: Cluster) -> None:
    if cluster.workers:
        pytest.importorskip("distributed")
    out = tmp_path / "features"
    progress = RunProgress()
    options = breaking(ILLEGAL, "video 4")
    report = go(four, out, options=options, shard_size=4, cluster=cluster, progress=progress)
    assert 1 < progress.deaths <= 1 + 2  # log2 of the shard's four videos
    found = failures(out)
    assert {one for one in found if one[0] != "text"} == {("video 4", name, "WorkerDied") for name in TABLES}
    assert report.states["trouble"]["ok"] == 2
    assert verify(open_store(out)).clean


def test_a_neighbour_of_the_culprit_is_not_blamed(four: Path, tmp_path: Path) -> None:
    """One video in each shard: two of them are in work when the device breaks first."""
    out = tmp_path / "features"
    options = breaking("CUDA error: device-side assert triggered", "video 2")
    go(four, out, options=options, shard_size=1, decoders=2)
    assert {video for video, _, kind in failures(out) if kind == "WorkerDied"} == {"video 2"}


def test_a_device_that_nobody_can_use_ends_the_run_and_books_nothing(four: Path, tmp_path: Path) -> None:
    out = tmp_path / "features"
    says = "CUDA error: no kernel image is available for execution on the device"
    with pytest.raises(DeviceUnusable, match="no kernel image") as told:
        go(four, out, options=breaking(says, "video"))
    assert "\n" not in str(told.value)
    assert not list(out.glob("trouble/part-*"))
    again = go(four, out, options={"scenes": {"detector": "content"}})
    assert again.states["trouble"]["failed"] == 1  # text.mp4 alone
