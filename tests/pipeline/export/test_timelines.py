"""Timelines as OpenTimelineIO reads them back, and edit decision lists as its adapter does."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import opentimelineio as otio
import pytest

from pipeline.export.export import export
from pipeline.export.timelines import timecode_rate
from pipeline.store.videos import update_videos
from tests.pipeline.about.conftest import shot, write_tables
from tests.pipeline.conftest import Kit
from tests.pipeline.export.conftest import RATES, Make

FRAMES = [0, 1, 30, 1799, 1800, 17981, 17982, 107892, 215784]
FORMATS: list[Any] = ["otio", "edl"]


def timeline_of(made: Any, rate: float) -> Any:
    (path,) = (path for path in made.folder.rglob("*") if path.suffix in (".otio", ".edl"))
    options = {"rate": rate} if path.suffix == ".edl" else {}
    return otio.adapters.read_from_file(str(path), **options)


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("rate", RATES.values(), ids=RATES.keys())
@pytest.mark.parametrize("first", [0.0, 1.4])
def test_every_cut_comes_back_on_its_frame(
    film: Make, tmp_path: Path, to: Any, rate: float, first: float
) -> None:
    cuts = [first + n / rate for n in FRAMES]
    store = film(list(pairwise(cuts)), fps=rate)
    timeline = timeline_of(export(store, to, tmp_path / "export"), rate)
    clips = list(timeline.find_clips())
    spans = [clip.source_range for clip in clips]
    assert [span.start_time.value for span in spans] == FRAMES[:-1]
    assert [span.end_time_exclusive().value for span in spans] == FRAMES[1:]
    assert {span.start_time.rate for span in spans} == {rate}
    assert [clip.range_in_parent().start_time.value for clip in clips] == FRAMES[:-1]
    times = [first + span.start_time.to_seconds() for span in spans]
    assert times == pytest.approx(cuts[:-1], abs=0.5 / rate)


@pytest.mark.parametrize(
    ("fps", "mode", "end"),
    [
        (30000 / 1001, "DROP FRAME", "00:01:00;02"),
        (29.97, "DROP FRAME", "00:01:00;02"),
        (60000 / 1001, "DROP FRAME", "00:00:30;00"),
        (23.98, "NON-DROP FRAME", "00:01:15:00"),
        (30.0, "NON-DROP FRAME", "00:01:00:00"),
    ],
)
def test_an_edl_says_how_it_counts(film: Make, tmp_path: Path, fps: float, mode: str, end: str) -> None:
    made = export(film([(0.0, 1800 / timecode_rate(fps, always=True))], fps=fps), "edl", tmp_path / "export")
    lines = (made.folder / "a.edl").read_text().splitlines()
    assert lines[:2] == ["TITLE: a", f"FCM: {mode}"]
    assert lines[3].split() == [
        "001",
        "AX",
        "V",
        "C",
        f"00:00:00{end[-3]}00",
        end,
        f"00:00:00{end[-3]}00",
        end,
    ]
    assert "* FROM CLIP NAME:  a.mp4" in lines and "* SHOT 0" in lines


@pytest.mark.parametrize(
    ("fps", "edl", "own"),
    [
        (24000 / 1001, 24000 / 1001, 24000 / 1001),
        (23.98, 24000 / 1001, 24000 / 1001),
        (24.0, 24.0, 24.0),
        (12.5, 25.0, 12.5),
        (15.0, 30.0, 15.0),
        (120000 / 1001, 60000 / 1001, 120000 / 1001),
        (26.3, 25.0, 26.3),
        (29.97, 30000 / 1001, 30000 / 1001),
        (10.0, 30.0, 10.0),
        (1.0, 24.0, 1.0),
        (0.1, 24.0, 0.1),
        (1000.0, 50.0, 1000.0),
        (8.0479, 24.0, 8.0479),  # a varying rate's mean
    ],
)
def test_a_rate_without_timecode_becomes_a_multiple_or_the_nearest(
    fps: float, edl: float, own: float
) -> None:
    assert timecode_rate(fps, always=True) == pytest.approx(edl)
    assert timecode_rate(fps, always=False) == pytest.approx(own)


def test_an_odd_rate_keeps_its_times(film: Make, tmp_path: Path) -> None:
    cuts = [0.0, 3.2, 7.6]
    store = film([(0.0, 3.2), (3.2, 7.6)], fps=26.3)
    for to in FORMATS:
        timeline = timeline_of(export(store, to, tmp_path / to), 25.0)
        clips = list(timeline.find_clips())
        times = [clip.source_range.start_time.to_seconds() for clip in clips]
        assert times == pytest.approx(cuts[:-1], abs=0.02)
    exact = timeline_of(export(store, "otio", tmp_path / "otio"), 0)
    assert [clip.metadata["marquee"]["start_seconds"] for clip in exact.find_clips()] == cuts[:-1]


def test_a_film_without_rate_or_shots_has_no_timeline(films: Any, tmp_path: Path) -> None:
    made = export(films, "otio", tmp_path / "export")
    assert (made.files, made.without) == (1, 2)  # the rate of films/b is not known, films/c failed


@pytest.mark.parametrize("to", FORMATS)
def test_a_gap_between_shots_and_a_hostile_name(film: Make, tmp_path: Path, to: Any) -> None:
    store = film([(0.0, 1.0), (2.0, 3.0)], name="a\n001  AX V C & <x>")
    timeline = timeline_of(export(store, to, tmp_path / "export"), 25.0)
    clips = list(timeline.find_clips())
    assert [clip.range_in_parent().start_time.value for clip in clips] == [0, 50]
    assert {clip.name for clip in clips} == {"a 001  AX V C & <x>.mp4"}


def test_a_timeline_names_the_file_whatever_its_bytes(kit: Kit, tmp_path: Path) -> None:
    kit.add(b"caf\xe9: 1.mp4")
    store, (shard,) = kit.store(), kit.plan().shards
    (video,) = shard.videos
    shots = {"scenes": {video.video_id: [shot(0, 0.0, 1.0)]}}
    target = write_tables(store, "scenes", {"detector": "content"}, shots)
    store.record_run([target], options={}, versions={}, started="2024", root=str(kit.videos))
    update_videos(store, shard.index, {video.video_id: {"duration_seconds": 1.0, "fps": 25.0}})
    (clip,) = timeline_of(export(store, "otio", tmp_path / "export"), 25.0).find_clips()
    assert unquote_to_bytes(clip.media_reference.target_url) == b"caf\xe9: 1.mp4"
    assert ":" not in clip.media_reference.target_url, "or it would be of a scheme"
