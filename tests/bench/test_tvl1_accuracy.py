"""Which pairs of a folder of videos are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.tvl1_accuracy import STACK, frames_of, runs, spread, videos


def test_runs_stay_inside_a_shot_and_inside_what_was_decoded() -> None:
    shots = [{"start_frame": 0, "end_frame": 3}, {"start_frame": 3, "end_frame": 8}]
    assert runs(shots, frames=7, length=3) == [0, 3, 4]


def test_places_are_spread_evenly_over_all_videos() -> None:
    a, b = Path("a"), Path("b")
    found = {a: list(range(10)), b: list(range(100, 110))}
    assert spread(found, 4) == {a: [0, 6], b: [103, 109]}
    assert spread(found, 99) == found


def test_files_without_pictures_and_broken_ones_are_counted_and_skipped(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nasty = media / "nasty" / "dev"
    names = ["audio_only.mp4", "truncated_no_moov.mp4", "single_frame.mp4", "no_audio_track.mp4"]
    for name in names:
        (tmp_path / name).write_bytes((nasty / name).read_bytes())
    found = videos(tmp_path)
    assert [path.name for path in found] == ["no_audio_track.mp4"]
    assert capsys.readouterr().out == (
        "4 files: 1 used, 2 without pictures or not to be decoded, 1 without a shot of 17 frames\n"
    )
    ((path, starts),) = found.items()
    assert max(starts) + STACK < len(frames_of(path))
