from __future__ import annotations

import json
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from extract.errors import MediaError
from extract.media import probe as probe_module
from extract.media.probe import probe


def test_a_plain_clip(clip: Path) -> None:
    media = probe(clip)
    assert media.path == str(clip)
    assert media.size_bytes == clip.stat().st_size
    assert "mp4" in media.container
    assert (media.has_video, media.has_audio, media.audio_tracks) == (True, True, 1)
    assert (media.width, media.height, media.stored_width, media.stored_height) == (64, 48, 64, 48)
    assert (media.rotation_degrees, media.sample_aspect_ratio, media.fps) == (0, 1.0, 24.0)
    assert (media.video_codec, media.audio_codec, media.sample_rate) == ("h264", "aac", 44100)
    assert media.header_duration_seconds == pytest.approx(2.0, abs=0.1)


def test_pixel_aspect_and_rotation_give_the_upright_size(
    make_clip: Callable[..., Path], turn_clip: Callable[[Path, Any], Path]
) -> None:
    path = make_clip("wide.mp4", size=(48, 48), aspect=Fraction(16, 9))
    media = probe(path)
    assert (media.width, media.height, media.stored_width) == (85, 48, 48)
    media = probe(turn_clip(path, (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)))
    assert (media.width, media.height, media.rotation_degrees) == (48, 85, 90)


def test_an_absurd_pixel_aspect_is_ignored(make_clip: Callable[..., Path]) -> None:
    media = probe(make_clip("absurd.mp4", aspect=Fraction(200, 1)))
    assert (media.width, media.sample_aspect_ratio) == (64, 1.0)


def test_audio_only(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((2, 2, 32000, 0, "NONE", ""))
        out.writeframes(np.zeros(64000, np.int16).tobytes())
    media = probe(path)
    assert (media.has_video, media.has_audio, media.width, media.fps) == (False, True, None, None)
    assert (media.sample_rate, media.header_duration_seconds) == (32000, 1.0)


def test_cover_art_is_no_video(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    source = make_clip("cover.mp4", codec="mjpeg", options={"strict": "-2"}, pts=range(1), audio_seconds=1.0)
    path = tmp_path / "song.mp4"
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        copies = {stream.index: out.add_stream_from_template(stream) for stream in given.streams}
        copies[given.streams.video[0].index].disposition = av.stream.Disposition.attached_pic
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    with av.open(str(path)) as made:
        assert made.streams.video[0].disposition & av.stream.Disposition.attached_pic
    assert (probe(path).has_video, probe(path).has_audio) == (False, True)


def test_neither_video_nor_audio(make_clip: Callable[..., Path]) -> None:
    path = make_clip("unknown.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))  # a codec that nobody knows
    with pytest.raises(MediaError, match="neither video nor audio"):
        probe(path)


def test_pictures_beyond_the_bound_are_refused_and_the_sound_is_not(
    clip: Path, make_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_module, "MAX_PIXELS", 1000)
    found = probe(clip)
    assert (found.has_video, found.has_audio) == (False, True)
    assert "64x48" in (found.unreadable_video or "")
    with pytest.raises(MediaError, match="64x48"):
        probe(make_clip("silent.mp4"))


def test_every_awkward_file_ends_as_expected(media: Path) -> None:
    folder = media / "nasty" / "dev"
    for entry in json.loads((folder / "expected.json").read_text())["files"]:
        path, expected = folder / entry["name"], entry["expected"]
        if expected == "reject":
            with pytest.raises(MediaError) as caught:
                probe(path)
            assert "\n" not in str(caught.value)
            continue
        found = probe(path)
        assert found.has_video == (expected != "audio_only"), entry
        assert found.has_audio == (expected != "ok_no_audio"), entry


@pytest.mark.parametrize(
    ("name", "size", "rotation_degrees"),
    [
        ("nasty/dev/rotated_90_metadata.mp4", (180, 320), 270),
        ("nasty/dev/anamorphic_sar_16_9.mp4", (320, 180), 0),
        ("torchcodec/nasa_13013.mp4", (480, 270), 0),
    ],
)
def test_upright_size_of_real_clips(
    media: Path, name: str, size: tuple[int, int], rotation_degrees: int
) -> None:
    found = probe(media / name)
    assert (found.width, found.height, found.rotation_degrees) == (*size, rotation_degrees)


def test_the_default_audio_track_is_taken(media: Path) -> None:
    found = probe(media / "nasty/dev/two_audio.mp4")
    assert (found.audio_tracks, found.sample_rate) == (2, 44100)
