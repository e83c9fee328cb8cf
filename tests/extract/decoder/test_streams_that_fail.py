"""A stream that a file has and that gives nothing fails its experts; the other stream's go on."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import av
import pytest

from extract.api import video
from extract.engine.engine import Engine
from extract.engine.settings import EngineSettings
from extract.engine.task import VideoTask
from extract.errors import MediaError
from extract.media.stream import Kind
from extract.selection import ExtractConfig, select
from extract.types import Outcome
from tests.fixtures.clips import write_clip

PICTURE, SOUND = ("scenes", "lowlevel"), ("spectrogram",)
CONTENT = {"scenes": {"detector": "content"}}


def outcomes(path: Path, *experts: str) -> Mapping[str, Outcome]:
    options = {name: options for name, options in CONTENT.items() if name in experts}
    selection = select(ExtractConfig(experts=experts, options=options, device="cpu", random_seed=0))
    task = VideoTask(path.name, bytes(path), tuple(selection.experts))
    with Engine(selection, EngineSettings(decoders=1)) as engine:
        (result,) = engine.run([task])
        return result.outcomes


def spoil(path: Path, kind: Kind) -> Path:
    """Every packet of one stream overwritten with what no decoder takes."""
    with av.open(str(path)) as container:
        stream = container.streams.best(kind)
        places = [(packet.pos or 0, packet.size) for packet in container.demux(stream) if packet.size]
    data = bytearray(path.read_bytes())
    for at, size in places:
        data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    return path


def unknown_codec(path: Path, kind: Kind) -> Path:
    name, other = {"video": (b"V_MPEG4", b"V_ZPEG4"), "audio": (b"A_FLAC", b"A_ZLAC")}[kind]
    path.write_bytes(path.read_bytes().replace(name, other))
    return path


@pytest.mark.parametrize(("name", "hurt"), [("spoilt.mp4", spoil), ("unknown.mkv", unknown_codec)])
@pytest.mark.parametrize(
    ("kind", "failing", "fine"), [("video", PICTURE, SOUND), ("audio", SOUND, ("scenes",))]
)
def test_a_stream_that_gives_nothing_is_a_failure_alone_and_beside_others(
    tmp_path: Path,
    name: str,
    hurt: Callable[[Path, Kind], Path],
    kind: Kind,
    failing: tuple[str, ...],
    fine: tuple[str, ...],
) -> None:
    path = hurt(write_clip(tmp_path / name, audio_seconds=4.0), kind)
    for experts in (failing, (*failing, *fine)):
        found = outcomes(path, *experts)
        assert {found[expert].state for expert in failing} == {"failed"}, experts
        failures = [found[expert].failure for expert in failing]
        assert all(
            failure and failure.stage == "decode" and str(path) in failure.message for failure in failures
        )
    assert {found[expert].state for expert in fine} == {"ok"}


def test_sound_is_absent_where_the_only_stream_fails(tmp_path: Path) -> None:
    path = spoil(write_clip(tmp_path / "silent.mp4"), "video")
    for experts in (PICTURE, SOUND, (*PICTURE, *SOUND)):
        found = outcomes(path, *experts)
        assert {found[name].state for name in experts if name in PICTURE} <= {"failed"}, experts
        assert {found[name].state for name in experts if name in SOUND} <= {"absent"}, experts


def test_pictures_without_size_fail_and_the_sound_is_heard(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "movie.wmv", codec="wmv2", audio_seconds=4.0)
    data = bytearray(path.read_bytes())
    at = data.rindex(struct.pack("<II", 64, 48))  # in the stream's BITMAPINFOHEADER
    data[at : at + 4] = bytes(4)
    path.write_bytes(data)
    found = outcomes(path, *PICTURE, *SOUND)
    assert {name: found[name].state for name in found} == {
        "scenes": "failed",
        "lowlevel": "failed",
        "spectrogram": "ok",
    }
    assert "0x0 pixels" in found["scenes"].reason


def test_what_a_file_does_not_have_is_absent(tmp_path: Path) -> None:
    silent = outcomes(write_clip(tmp_path / "silent.mp4"), "scenes", "spectrogram")
    assert (silent["scenes"].state, silent["spectrogram"].state) == ("ok", "absent")
    sound = outcomes(
        write_clip(tmp_path / "sound.mp4", codec=None, audio_seconds=4.0), "scenes", "spectrogram"
    )
    assert (sound["scenes"].state, sound["spectrogram"].state) == ("absent", "ok")


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("a.mpg", "mpeg2video", {"bf": "2"}), ("a.avi", "mpeg4", {"bf": "2"}), ("a.mp4", "libx264", {})],
)
def test_rows_of_damaged_files_do_not_depend_on_who_else_runs(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = write_clip(tmp_path / name, codec=codec, options=options, size=(96, 80), audio_seconds=2.0)
    data, compared = path.read_bytes(), 0
    for seed in range(2):
        chance, damaged = random.Random(seed), bytearray(data)
        for _ in range(25):
            damaged[chance.randrange(len(data) // 20, len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            alone = video(path, experts=["scenes"], options=CONTENT)
        except MediaError:
            continue
        beside = video(path, experts=["scenes", "lowlevel"], options=CONTENT)
        again = video(path, experts=["scenes", "lowlevel"], options=CONTENT)
        assert beside["scenes"].equals(alone["scenes"])
        assert str(again["lowlevel"].to_pylist()) == str(beside["lowlevel"].to_pylist())  # NaN is not itself
        compared += 1
    assert compared
