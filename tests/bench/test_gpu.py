from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import extract.experts
from bench.gpu import measuring, sizes
from bench.gpu.__main__ import PARTS, main
from bench.gpu.cuda_tests import counts
from bench.gpu.faults import _fatal_video
from bench.gpu.measuring import Gauge, Measurement, run_apart
from bench.gpu.report import GpuReport
from extract.errors import StoreError
from extract.registry import expert_class, expert_names

ROOT = Path(__file__).parents[2]


def gauge(folder: Path, found: list[Measurement], **changed: Any) -> Gauge:
    return Gauge("cpu", sizes.dry(), folder, take=found.append, **changed)


def test_a_dry_run_comes_to_its_end_without_a_gpu(tmp_path: Path) -> None:
    """Every section, with what the CPU can do and a note where it takes a GPU."""
    out = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench.gpu", "--dry", "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_text())
    assert (report["finished"], report["device"], report["dry"]) == (True, "cpu", True)
    sections = report["sections"]
    assert {name: section["state"] for name, section in sections.items()} == dict.fromkeys(PARTS, "done")
    found = {name: section["measurements"] for name, section in sections.items()}
    assert [row for rows in found.values() for row in rows if "error" in row] == []
    for name in ("memory", "faults", "gpus"):
        assert found[name] and all(row["note"] == "needs a GPU" for row in found[name]), name
    on_device = [row for row in found["values"] if row["on"] == "cpu"]
    assert {row["precision"] for row in on_device} == {"float32", "bfloat16"}
    assert all(row["least cosine"] > 0.999 and row["again"] == row["alone"] == 0 for row in on_device)
    (run,) = found["runs"]
    assert run["videos"] == 1 and run["video s/s"] > 0 and 0 < run["device busy"] <= 1
    assert max(row.get("mean error px", 0) for row in found["tvl1"]) < 0.05
    assert "| musicnet | float32 | 1 |" in done.stdout


def test_a_report_takes_a_gpu_or_is_dry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(SystemExit) as ended:
        main(["--out", str(tmp_path / "report.json")])
    assert ended.value.code == 2
    assert "--dry" in capsys.readouterr().err


def test_a_whole_report_measures_every_network() -> None:
    whole = sizes.full()
    on_device = {name for name in expert_names() if expert_class(name).lane == "device"}
    assert set(whole.experts) == on_device | {"scenes"}


def _dies(mine: Gauge) -> None:
    mine.take({"what": "before"})
    os.kill(os.getpid(), signal.SIGKILL)


def _hangs(mine: Gauge) -> None:
    signal.pause()


def _raises(mine: Gauge) -> None:
    mine.take({"what": "before"})
    raise ValueError("planted\nin two lines")


def _loses_its_device(mine: Gauge) -> None:
    def fault() -> Measurement:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    mine.take({"what": "before"})
    mine.measure({"what": "fault"}, fault)
    mine.take({"what": "nothing works any more"})


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (_dies, "its process ended with status -9"),
        (_raises, "ValueError: planted (test_gpu.py:"),
        (_loses_its_device, "RuntimeError: CUDA error: an illegal memory access was encountered"),
    ],
)
def test_a_section_that_fails_keeps_what_it_had(
    section: measuring.Section, said: str, tmp_path: Path
) -> None:
    found: list[Measurement] = []
    problem = run_apart(section, gauge(tmp_path, found))
    assert problem is not None and problem.startswith(said)
    assert found == [{"what": "before"}]


def _measures_and_hangs(mine: Gauge) -> None:
    mine.take({"what": "before"})
    signal.pause()


def test_no_section_outlives_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    """Nor one that is interrupted."""

    def full_disk(measurement: Measurement) -> None:
        raise StoreError("no space is left")

    with pytest.raises(StoreError, match="no space is left"):
        run_apart(_measures_and_hangs, replace(gauge(tmp_path, []), take=full_disk))
    assert multiprocessing.active_children() == []


def test_a_section_that_hangs_is_killed(tmp_path: Path) -> None:
    problem = run_apart(_hangs, gauge(tmp_path, [], deadline=0.0))
    assert problem == "took too long and was killed"


def test_a_measurement_that_fails_does_not_end_its_section(tmp_path: Path) -> None:
    def fails() -> Measurement:
        raise MemoryError("no room")

    found: list[Measurement] = []
    mine = gauge(tmp_path, found)
    mine.measure({"batch": 512}, fails)
    mine.measure({"batch": 8}, lambda: {"items/s": 2.0})
    mine.measure({"batch": 8}, fails, needs_gpu=True)
    late = gauge(tmp_path, found, deadline=0.0)
    late.measure({"batch": 8}, fails)
    first, *others = found
    assert first["batch"] == 512 and first["error"].startswith("MemoryError: no room (test_gpu.py:")
    assert others == [
        {"batch": 8, "items/s": 2.0},
        {"batch": 8, "note": "needs a GPU"},
        {"batch": 8, "note": "left out: no time was left"},
    ]


def test_the_file_is_whole_after_every_measurement(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    report = GpuReport(path, {"device": "cuda:0", "finished": False})
    report.begin("copies")
    report.add("copies", {"memory": "pinned", "GB/s": 51.23456})
    now = json.loads(path.read_text())
    assert now["sections"]["copies"]["state"] == "running" and not now["finished"]
    assert now["sections"]["copies"]["measurements"] == [{"memory": "pinned", "GB/s": 51.23456}]
    report.add("copies", {"memory": "a|b", "error": "no room"})
    report.end("copies", 1.0, None)
    report.begin("runs")
    report.end("runs", 2.0, "killed")
    assert report.failed == ["copies", "runs"]
    assert report.table("copies").splitlines()[2:] == [
        "| memory | GB/s | error |",
        "| --- | --- | --- |",
        "| pinned | 51.23 |  |",
        "| a/b |  | no room |",
    ]
    assert json.loads(path.read_text())["sections"]["runs"] == {
        "state": "failed",
        "error": "killed",
        "seconds": 2.0,
        "measurements": [],
    }


def test_one_fatal_video_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU the index that CUDA would assert is an error of its video."""
    monkeypatch.setenv("MARQUEE_EXPERTS", "")  # both are put back behind the test
    monkeypatch.setattr(extract.experts, "__path__", extract.experts.__path__)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = _fatal_video(gauge(tmp_path, []))
    assert {name: found[name] for name in ("videos", "ok", "failed")} == {"videos": 4, "ok": 3, "failed": 1}


def test_counts_of_tests() -> None:
    line = "1 failed, 12 passed, 3 skipped, 900 deselected in 12.34s"
    assert counts(line) == {"failed": 1, "passed": 12, "skipped": 3}
    assert counts("") == {}
