"""Every label of the awkward real files is met by one run of the main command."""

from __future__ import annotations

import json
import math
import struct
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.storage.names import without_suffix
from tests.fixtures.store import everything_written, extract_command, rows, states

EXPERTS = ("scenes", "ocr", "lowlevel", "spectrogram")
VISUAL = ("scenes", "lowlevel")
SECONDS = 5.0  # of nearly all of these files
ARGUMENTS = ("--experts", ",".join(EXPERTS), "--detector", "content")


@dataclass(frozen=True)
class Ran:
    """A finished run over the nasty folder, with its tables by video."""

    process: subprocess.CompletedProcess[str]
    out: Path
    expected: Mapping[str, list[str]]
    videos: Mapping[str, dict[str, Any]]
    states: Mapping[tuple[str, str], tuple[str, str]]
    tables: Mapping[str, Mapping[str, list[dict[str, Any]]]]

    def state(self, video: str, expert: str) -> str:
        return self.states[video, expert][0]


@pytest.fixture(scope="module")
def ran(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder, out = media / "nasty" / "dev", tmp_path_factory.mktemp("nasty") / "features"
    process = extract_command(folder, out, *ARGUMENTS)
    expected: dict[str, list[str]] = defaultdict(list)
    for entry in json.loads((folder / "expected.json").read_text("utf-8"))["files"]:
        expected[entry["expected"]].append(without_suffix(entry["name"]))
    tables: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name in EXPERTS:
        tables[name] = defaultdict(list)
        for row in rows(out, name):
            tables[name][row["video_id"]].append(row)
    videos = {row["video_id"]: row for row in rows(out, "videos")}
    return Ran(process, out, expected, videos, states(out), tables)


def test_the_run_ends_and_no_file_is_silent(ran: Ran) -> None:
    assert ran.process.returncode == 3, ran.process.stderr
    assert "Traceback" not in ran.process.stdout + ran.process.stderr
    listed = {video for names in ran.expected.values() for video in names}
    assert set(ran.videos) == listed and len(listed) == 26
    assert set(ran.states) == {(video, expert) for video in listed for expert in EXPERTS}
    assert {row["path"] for row in rows(ran.out, "ignored")} == {"expected.json", "playlists/secret.txt"}


def test_ok_gives_features_of_picture_and_sound(ran: Ran) -> None:
    for video in ran.expected["ok"]:
        for expert in (*VISUAL, "spectrogram"):
            assert ran.state(video, expert) == "ok", (video, expert)
            assert ran.tables[expert][video]
        assert ran.videos[video]["partial"] is False


def test_ok_no_audio_gives_visual_features_and_says_that_sound_is_absent(ran: Ran) -> None:
    for video in ran.expected["ok_no_audio"]:
        assert {ran.state(video, expert) for expert in VISUAL} == {"ok"}
        assert ran.states[video, "spectrogram"] == ("absent", "no audio stream")
        assert ran.videos[video]["has_audio"] is False


def test_audio_only_says_that_pictures_are_absent(ran: Ran) -> None:
    for video in ran.expected["audio_only"]:
        assert ran.states[video, "scenes"] == ran.states[video, "ocr"] == ("absent", "no video stream")
        assert ran.state(video, "spectrogram") == "ok"
        assert ran.videos[video]["has_video"] is False


def test_partial_gives_rows_and_says_so(ran: Ran) -> None:
    for video in ran.expected["partial"]:
        assert {ran.state(video, expert) for expert in VISUAL} == {"ok"}
        facts = ran.videos[video]
        assert facts["partial"] is True and facts["decode_errors"] > 0
        assert "damaged packet" in facts["note"]
    assert "truncated" in ran.videos["truncated_faststart"]["note"]
    assert ran.videos["truncated_faststart"]["duration_seconds"] < 0.6 * SECONDS


def test_warn_has_the_duration_that_was_measured(ran: Ran) -> None:
    for video in ran.expected["warn"]:
        facts = ran.videos[video]
        assert facts["duration_seconds"] == pytest.approx(SECONDS, abs=0.05)
        lies = abs(facts["header_duration_seconds"] - SECONDS) > 1
        assert ("header says" in (facts["note"] or "")) == lies
        assert ran.tables["scenes"][video][-1]["end_seconds"] == pytest.approx(SECONDS, abs=0.05)


def test_reject_is_a_failure_with_a_clear_line(ran: Ran) -> None:
    failures = {(row["video_id"], row["expert"]): row for row in rows(ran.out, "failures")}
    assert set(failures) == {(video, expert) for video in ran.expected["reject"] for expert in EXPERTS}
    for (video, _), row in failures.items():
        assert row["stage"] == "decode" and row["error_type"] == "MediaError"
        assert "\n" not in row["message"] and f"{video}.mp4" in row["message"]
        words = "is empty (0 bytes)" if video == "zero_length" else "cannot be read as media"
        assert words in row["message"]


def test_nothing_of_another_file_is_read(ran: Ran, media: Path) -> None:
    canary = (media / "nasty" / "dev" / "playlists" / "secret.txt").read_text().split()[0]
    assert canary.startswith("CANARY-")
    assert canary not in everything_written(ran.out) + ran.process.stdout + ran.process.stderr


def test_pictures_stand_upright_with_square_pixels(ran: Ran) -> None:
    for video, size in {
        "rotated_90_metadata": (180, 320),
        "anamorphic_sar_16_9": (320, 180),
        "tiny_16x16": (16, 16),
        "hevc_10bit": (320, 180),
    }.items():
        assert (ran.videos[video]["width"], ran.videos[video]["height"]) == size
    assert ran.videos["anamorphic_sar_16_9"]["stored_width"] == 180


def test_a_clock_that_starts_at_100_s(ran: Ran) -> None:
    for expert in (*VISUAL, "spectrogram"):
        first, last = (ran.tables[expert]["starts_at_100s"][i] for i in (0, -1))
        assert first["start_seconds"] == pytest.approx(100, abs=0.1)
        assert last["end_seconds"] == pytest.approx(100 + SECONDS, abs=0.1)
    assert ran.videos["starts_at_100s"]["duration_seconds"] == pytest.approx(SECONDS, abs=0.1)


def test_one_picture_is_one_scene(ran: Ran) -> None:
    (scene,) = ran.tables["scenes"]["single_frame"]
    assert (scene["start_frame"], scene["keyframe"], scene["end_frame"]) == (0, 0, 1)
    assert scene["end_seconds"] - scene["start_seconds"] == pytest.approx(1 / 24, abs=1e-3)
    assert ran.videos["single_frame"]["frames"] == 1


def test_silence_is_sound_and_divides_nothing_by_zero(ran: Ran) -> None:
    windows = ran.tables["spectrogram"]["digital_silence"]
    assert windows and not np.any([row["embedding"] for row in windows])
    (row,) = ran.tables["lowlevel"]["digital_silence"]
    assert not any(isinstance(value, float) and not math.isfinite(value) for value in row.values())
    (silent,) = ran.tables["lowlevel"]["no_audio_track"]
    unknown = [np.isnan(r["embedding"]).sum() for r in (row, silent)]  # NaN: could not be measured
    assert unknown[0] < unknown[1]


def test_frames_of_a_variable_rate_keep_their_times(ran: Ran, media: Path) -> None:
    with av.open(str(media / "nasty" / "dev" / "vfr_dropped_frames.mp4")) as container:
        frames = container.decode(video=0)
        times = [float(f.pts * f.time_base) for f in frames if f.pts is not None and f.time_base]
    assert ran.videos["vfr_dropped_frames"]["frames"] == len(times)
    for scene in ran.tables["scenes"]["vfr_dropped_frames"]:
        assert scene["start_seconds"] == pytest.approx(times[scene["start_frame"]], abs=1e-6)
        keyframe = scene["keyframe"]
        assert scene["keyframe_start_seconds"] == pytest.approx(times[keyframe], abs=1e-6)
        middle = (scene["start_seconds"] + scene["end_seconds"]) / 2
        assert times[keyframe] <= middle < times[keyframe + 1]


def test_sound_that_outlasts_the_picture_is_kept(ran: Ran) -> None:
    facts = ran.videos["audio_longer_than_video"]
    assert facts["duration_seconds"] == pytest.approx(SECONDS, abs=0.1) and facts["note"] is None
    last = ran.tables["spectrogram"]["audio_longer_than_video"][-1]
    assert last["end_seconds"] == pytest.approx(9, abs=0.1)
    assert ran.videos["two_audio"]["audio_tracks"] == 2


def test_a_header_that_ffmpeg_believes_is_not_believed(tmp_path: Path, small_trailers: list[Path]) -> None:
    """Matroska's Duration is taken as it stands: here 60 times too long."""
    videos = tmp_path / "videos"
    videos.mkdir()
    film = videos / "lies.mkv"
    with av.open(str(small_trailers[0])) as source, av.open(str(film), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    data = film.read_bytes()
    at = data.index(b"\x44\x89\x88") + 3  # Duration, an 8-byte float in milliseconds
    (milliseconds,) = struct.unpack(">d", data[at : at + 8])
    film.write_bytes(data[:at] + struct.pack(">d", 60 * milliseconds) + data[at + 8 :])
    process = extract_command(videos, tmp_path / "out", "--experts", "scenes", "--detector", "content")
    assert process.returncode == 0, process.stderr
    (facts,) = rows(tmp_path / "out", "videos")
    assert facts["header_duration_seconds"] == pytest.approx(60 * milliseconds / 1000, abs=0.1)
    assert facts["duration_seconds"] == pytest.approx(milliseconds / 1000, abs=0.1)
    assert (
        facts["note"] == f"header says {60 * milliseconds / 1000:.1f} s, decoded {milliseconds / 1000:.1f} s"
    )
