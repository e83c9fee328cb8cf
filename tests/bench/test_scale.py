"""The benchmarks of many workers, as small as they go; what they say of memory, on made-up samples."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench import scale, soak
from bench.processes import on_cores
from bench.resident import Sample, lines, trends
from bench.staged import Stages

pytest.importorskip("distributed")


def test_memory_that_grows_is_told_from_memory_that_does_not() -> None:
    """The driver grows by 2 MB a second; the worker is recycled every 10 s, and its decoder counts."""
    samples = []
    for second in range(100):
        samples += [
            Sample(second, "driver", 1, 100_000_000 + 2_000_000 * second),
            Sample(second, "decoder 1", 100 + second // 10, 30_000_000),
            Sample(second, "worker 1", 10 + second // 10, 50_000_000),
        ]
    samples.append(Sample(100, "decoder 1", 200, 30_000_000))  # its worker has just ended
    driver, worker = trends(samples, 0, 100)
    assert (driver.role, worker.role) == ("driver", "worker 1")
    assert driver.per_hour == pytest.approx(7200)
    assert driver.start == pytest.approx(100 + 2 * 14)  # the first tenth after ten seconds: 10 ... 18
    assert (worker.start, worker.end) == (80, 80)
    assert worker.per_hour == pytest.approx(0, abs=1e-6)
    drawn = lines(samples)
    assert len([role for role, _ in drawn if role == "worker 1"]) == 10
    assert drawn["driver", 1][0] == list(range(100))


def test_processes_are_pinned() -> None:
    command = [sys.executable, "-c", "import os; print(*os.sched_getaffinity(0))"]
    here = subprocess.check_output(command)
    core = int(here.split()[-1])
    with on_cores({core}):
        assert subprocess.check_output(command).split() == [str(core).encode()]
    assert subprocess.check_output(command) == here


def test_the_speed_up_is_of_times() -> None:
    one, two = scale.Speed(5, 20, (18.0,)), scale.Speed(6, 10, (9.0, 10.0))
    rows = [line.split("|")[1:-1] for line in scale.speed_table(40, [one, two]).splitlines()[2:]]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert cells[0] == ["1", "5.0", "20.0", "2.00", "1.00", "18.0", "1.00"]
    assert cells[1] == ["2", "6.0", "10.0", "4.00", "2.00", "9.0, 10.0", "1.80"]


def test_one_worker_on_one_core(small_trailers: list[Path], tmp_path: Path) -> None:
    videos = small_trailers[0].parent
    result = scale.speed(tmp_path, videos, videos, workers=1)
    assert result.start_up_seconds > 0 and result.seconds > 0
    (taken,) = result.cpu_seconds
    assert 0 < taken <= 1.1 * result.seconds + 1  # one core, and what the nanny does on it


def test_what_a_shard_costs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    scale.main(["--only", "overhead", "--shards", "5", "--shard-size", "3", "--folder", str(tmp_path)])
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert table[0].startswith("| 5 shards of 3 videos |")
    costs = {row.split("|")[1].strip(): float(row.split("|")[2]) for row in table[2:8]}
    assert all(cost >= 0 for cost in costs.values()) and list(costs)[2:] == [
        "processor time: driver", "processor time: scheduler", "processor time: nanny 1",
        "processor time: nanny 2",
    ]  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_a_small_soak(tmp_path: Path) -> None:
    result = soak.soak(tmp_path, shards=4, lifetime_seconds=60, every_seconds=0.2)
    assert result.states == Counter(ok=12) and result.clean
    roles = {sample.role for sample in result.samples}
    assert {"driver", "scheduler", "nanny 1", "nanny 2", "worker 1", "worker 2"} <= roles
    assert "4 shards in" in soak.report(result) and "12 ok; the store is clean" in soak.report(result)


def test_the_picture_names_what_it_shows(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    roles = ("driver", "scheduler", "nanny 1", "worker 1", "worker 2")
    samples = [
        Sample(t, role, pid, 10**8)
        for t in range(60)
        for pid, role in enumerate(roles)
        if not (role == "worker 2" and t < 30)
    ]
    stages = Stages({"extracting": 0.0, "finishing": 60.0}, {})
    result = soak.Soak(7, stages, [*samples, Sample(59, "worker 1", 99, 10**8)], Counter(ok=7), clean=True)
    soak.draw(result, tmp_path / "soak.svg")
    drawn = (tmp_path / "soak.svg").read_text()
    assert "7 shards, 2 workers, 1 times recycled" in drawn
    assert all(f"{role} (" in drawn for role in roles)
