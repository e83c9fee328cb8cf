from __future__ import annotations

from pathlib import Path

import pytest

from bench.demo_trailers import Shot, Trailer, render_trailer
from bench.extract import Result, main
from bench.replay import Cost, Decoded


def test_the_least_times_make_the_efficiency() -> None:
    result = Result(
        preset="offline",
        start_up=Cost(1, 1),
        decode=Decoded(Cost(2, 4), videos=1, video_seconds=10),
        compute=Cost(3, 6),
        wall=Cost(4, 7),
        rows={},
        cores=2,
    )
    assert result.efficiency == 3 / 4
    assert result.bound_seconds == 5  # ten seconds of processor time on two cores


def test_the_benchmark_runs_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two shots through shot network, taps and store."""
    trailer = Trailer("small", (Shot(1.5, "waves"), Shot(1.5, "discs")), fps=12, sound=False)
    render_trailer(tmp_path / "small.mp4", trailer)
    main(["--videos", str(tmp_path), "--preset", "offline", "--experts", "lowlevel", "--repeat", "1"])
    lines = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| offline")]
    times, *rows = [[cell.strip() for cell in line[1:-1]] for line in lines]
    assert times[1] == "1"
    assert 0 < float(times[6]) <= 1.5
    assert {row[1]: int(row[2]) for row in rows} == {"scenes": 2, "lowlevel": 3}
