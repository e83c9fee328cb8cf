"""Which GPUs a run is given, by what a driver lists; a tool in the place of the driver's is enough."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from extract.errors import UsageError
from pipeline import Cluster, gpus
from pipeline.gpus import NoDriver, chosen_gpus, gpu_of, share_of
from pipeline.work.config import RunConfig

PLAIN = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000000)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000000)
GPU 2: NVIDIA H100 80GB HBM3 (UUID: GPU-33333333-aaaa-bbbb-cccc-000000000000)
"""
CUT = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-11111111-aaaa-bbbb-cccc-000000000000)
  MIG 3g.20gb     Device  0: (UUID: MIG-44444444-aaaa-bbbb-cccc-000000000000)
  MIG 3g.20gb     Device  1: (UUID: MIG-55555555-aaaa-bbbb-cccc-000000000000)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-22222222-aaaa-bbbb-cccc-000000000000)
"""

Driver = Callable[[str], None]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Puts a driver's tool first on the PATH that lists these GPUs."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def install(listed: str) -> None:
        tool = tmp_path / gpus.TOOL
        tool.write_text(f'#!/bin/sh\n[ "$1" = -L ] && cat <<LIST\n{listed}LIST\n')
        tool.chmod(0o755)

    return install


def numbers(names: list[str]) -> str:
    """The repeated digit of each identifier."""
    return "".join(name.partition("-")[2].removeprefix("GPU-")[0] for name in names)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("all", "123"), ("1", "2"), ("0,2", "13"), ("0-1", "12"), ("2,0-1", "312"),
        ("GPU-33333333-aaaa-bbbb-cccc-000000000000", "3"), ("GPU-2,0", "21"),
    ],
)  # fmt: skip
def test_gpus_by_number_range_and_identifier(driver: Driver, text: str, found: str) -> None:
    driver(PLAIN)
    names = chosen_gpus(Cluster(gpus=text).gpus or "")
    assert numbers(names) == found
    assert all(name.startswith("GPU-") and len(name) == 40 for name in names)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("all", "452"), ("0", "45"), ("1", "2"), ("MIG-55555555-aaaa-bbbb-cccc-000000000000,1", "52"),
        ("MIG-GPU-11111111-aaaa-bbbb-cccc-000000000000/1/0", "1"),
    ],
)  # fmt: skip
def test_instances_stand_for_a_gpu_that_is_cut(driver: Driver, text: str, found: str) -> None:
    driver(CUT)
    assert numbers(chosen_gpus(Cluster(gpus=text).gpus or "")) == found


def test_what_a_batch_system_shows_is_all_that_there_is(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(PLAIN)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-11111111-aaaa-bbbb-cccc-000000000000,-1,0")
    assert numbers(chosen_gpus("all")) == "31"
    assert numbers(chosen_gpus("1")) == "1"
    assert gpu_of("cuda") == "2" and gpu_of("cuda:1").startswith("GPU-1") and gpu_of("cpu") == ""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UsageError, match="reports no GPU"):
        chosen_gpus("all")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3", "3 is not there; there are 0 to 2"), ("1-4", "1-4 is not there"), ("2-1", "2-1 is not there"),
        ("GPU-9", "GPU-9 is not there; there are GPU-1"), ("GPU-", "allowed: all"), ("0,0-1", "twice"),
        ("first", "allowed: all, or numbers"), ("0;1", "allowed"), ("MIG-44444444", "is not there"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_one_line(driver: Driver, text: str, message: str) -> None:
    driver(PLAIN)
    with pytest.raises(UsageError, match=message) as told:
        chosen_gpus(Cluster(gpus=text).gpus or "")
    assert "--gpus" in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize("tool", [None, "#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n"])
def test_no_driver_is_one_line(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str | None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    if tool is not None:
        (tmp_path / gpus.TOOL).write_text(tool)
        (tmp_path / gpus.TOOL).chmod(0o755)
    with pytest.raises(NoDriver, match=r"no NVIDIA driver responds here.*leave --gpus out") as told:
        chosen_gpus("all")
    assert "\n" not in str(told.value)


def test_a_device_of_its_own_and_gpus_exclude_each_other(tmp_path: Path) -> None:
    for device in ("cuda:1", "cpu"):
        with pytest.raises(UsageError, match=f"--device {device} and --gpus cannot be combined"):
            RunConfig(
                videos=tmp_path, out=tmp_path, experts=("scenes",), device=device, cluster=Cluster(gpus="0")
            )


def test_shares_are_whole() -> None:
    assert [share_of(16, 3), share_of(2, 8), share_of(5, 0)] == [5, 1, 5]
