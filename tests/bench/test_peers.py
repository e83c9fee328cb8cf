"""The comparison with other ways of extracting."""

from __future__ import annotations

import pytest

from bench.peers import PRESETS, Result, main
from bench.peers_side import Times, run


def test_efficiency_is_the_share_of_the_cores_that_was_used() -> None:
    times = Times(loaded=4, first_batch=3, ended=10, cpu_seconds=15)
    assert Result("sulun2024", 5, 2, times, times, ()).efficiency(times) == 0.75


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "expert", "tables"),
    [("sulun2024", "musicnet", {"musicnet"}), ("fish2021", "vggish", {"vggish"})],
)
def test_both_ways_give_the_same_rows(
    preset: str,
    expert: str,
    tables: set[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first as the bench does it, in processes of their own; the second here, without their start."""
    if preset != PRESETS[0]:
        monkeypatch.setattr("bench.peers._run", run)
    main(["--videos", "2", "--seconds", "5", "--preset", preset, "--only", expert])
    rows = [
        line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| " + preset)
    ]
    times, agreements = rows[:3], {row[2].strip(): row[3:6] for row in rows[3:]}
    assert [row[2].strip() for row in times] == ["theirs", "ours", "theirs / ours"]
    assert set(agreements) == tables
    for ours, theirs, cosine in agreements.values():
        assert int(ours) == int(theirs) > 0
        assert float(cosine) > 0.9999
