"""Headers that cannot be true: refused with a reason, whatever the container, and never days of rows."""

from __future__ import annotations

import struct
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from extract.errors import MediaError
from extract.media.limits import most_seconds
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read
from extract.types import AudioBlock, Sound

MakeClip = Callable[..., Path]


@pytest.fixture
def sound(tmp_path: Path) -> Callable[[str], bytearray]:
    """``sound("wav")``: two seconds at 8000 Hz in that container, as bytes."""

    def make(suffix: str) -> bytearray:
        path = tmp_path / f"sound.{suffix}"
        with av.open(str(path), "w") as out:
            codec = "pcm_s16le" if suffix == "wav" else "pcm_s16be"
            stream: Any = out.add_stream(codec, rate=8000, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.full((1, 16_000), 7000, np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = 8000, 0
            out.mux([*stream.encode(frame), *stream.encode(None)])
        return bytearray(path.read_bytes())

    return make


def rate_at(suffix: str, data: bytearray, rate: int) -> bytes:
    """The same file with another sample rate in its header."""
    if suffix == "wav":
        data[24:28] = struct.pack("<I", rate)
    elif suffix == "au":
        data[16:20] = struct.pack(">I", rate)
    else:  # an 80-bit float: exponent, then the mantissa with its leading one
        at = data.index(b"COMM") + 16
        exponent = rate.bit_length() - 1
        data[at : at + 10] = struct.pack(">HQ", 16383 + exponent, rate << 63 - exponent)
    return bytes(data)


@pytest.mark.parametrize("suffix", ["wav", "au", "aiff"])
@pytest.mark.parametrize("rate", [1, 10, 999, 3999, 768_001, 2_000_000_000])
def test_an_impossible_sample_rate_is_refused(
    tmp_path: Path, sound: Callable[[str], bytearray], suffix: str, rate: int
) -> None:
    path = tmp_path / f"liar.{suffix}"
    path.write_bytes(rate_at(suffix, sound(suffix), rate))
    with pytest.raises(MediaError, match=f"says {rate} samples of sound a second; 4000 to 768000 are read"):
        probe(path)


@pytest.mark.parametrize("suffix", ["wav", "au", "aiff"])
@pytest.mark.parametrize("rate", [4000, 8000, 192_000])
def test_a_possible_sample_rate_is_believed(
    tmp_path: Path, sound: Callable[[str], bytearray], suffix: str, rate: int
) -> None:
    path = tmp_path / f"true.{suffix}"
    path.write_bytes(rate_at(suffix, sound(suffix), rate))
    media = probe(path)
    blocks = list(read(path, media=media, video=False, sounds=[Sound(16_000)], counts=DecodeCounts()))
    assert media.sample_rate == rate
    assert blocks[-1].end_seconds == pytest.approx(16_000 / rate, abs=0.01)


def strh(path: Path, scale: int, rate: int) -> None:
    """Another time base into the first stream's header of an AVI."""
    data = bytearray(path.read_bytes())
    at = data.index(b"strh") + 28
    data[at : at + 8] = struct.pack("<II", scale, rate)
    path.write_bytes(data)


@pytest.mark.parametrize(("scale", "rate"), [(2**31 - 1, 1), (2**31 - 1, 24), (1000, 1), (1, 2**31 - 1)])
def test_an_impossible_time_base_is_refused_and_the_sound_is_read(
    make_clip: MakeClip, scale: int, rate: int
) -> None:
    silent = make_clip("silent.avi", codec="mpeg4")
    strh(silent, scale, rate)
    with pytest.raises(MediaError, match="the header is damaged"):
        probe(silent)
    path = make_clip("a.avi", codec="mpeg4", audio_seconds=2.0)
    strh(path, scale, rate)
    media = probe(path)
    assert not media.has_video and media.unreadable_video and media.has_audio
    blocks = list(read(path, media=media, video=True, sounds=[Sound(16_000)], counts=DecodeCounts()))
    assert all(isinstance(block, AudioBlock) for block in blocks)
    assert blocks[-1].end_seconds - blocks[0].start_seconds == pytest.approx(2.0, abs=0.1)


def timestamp_scale(path: Path, nanoseconds: int) -> None:
    """Another TimestampScale into a Matroska file: how long one of its ticks is."""
    data = bytearray(path.read_bytes())
    at = data.index(b"\x2a\xd7\xb1")
    size = data[at + 3] & 0x7F
    data[at : at + 4 + size] = b"\x2a\xd7\xb1" + bytes([0x80 | size]) + nanoseconds.to_bytes(size, "big")
    path.write_bytes(data)


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 10])
@pytest.mark.parametrize("codec", [None, "libx264"])
def test_a_time_scale_that_is_not_the_sounds_is_refused(
    make_clip: MakeClip, factor: float, codec: str | None
) -> None:
    path = make_clip("a.mkv", codec=codec, audio_seconds=6.0)
    timestamp_scale(path, round(1_000_000 * factor))
    counts = DecodeCounts()
    try:
        list(read(path, media=probe(path), video=True, sounds=[Sound(8000)], counts=counts))
    except MediaError as error:
        assert "time scale" in str(error) and codec is None
    assert "time scale" in counts.refused["audio"] and counts.partial


def test_no_file_lasts_longer_than_its_bytes_allow() -> None:
    assert most_seconds(0) == 3600
    assert most_seconds(5_000_000) > 48 * 3600


def test_a_plain_wav_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((2, 2, 44_100, 0, "NONE", ""))
        out.writeframes(np.zeros(88_200, np.int16).tobytes())
    counts = DecodeCounts()
    list(read(path, media=probe(path), video=False, sounds=[Sound(44_100)], counts=counts))
    assert not counts.partial and not counts.refused


def media_time_scale(path: Path, factor: float) -> None:
    """Another time scale into the header of an MP4's first track, its picture."""
    data = bytearray(path.read_bytes())
    at = data.index(b"mdhd") + 16
    (ticks,) = struct.unpack(">I", data[at : at + 4])
    data[at : at + 4] = struct.pack(">I", round(ticks * factor))
    path.write_bytes(data)


@pytest.mark.parametrize("factor", [1 / 10, 1 / 1000])
def test_a_time_scale_against_the_edit_list_and_the_codec_is_refused(
    make_clip: MakeClip, factor: float
) -> None:
    silent, loud = make_clip("silent.mp4"), make_clip("loud.mp4", audio_seconds=2.0)
    for path in (silent, loud):
        media_time_scale(path, factor)
    with pytest.raises(MediaError, match=r"but says that 48 of them last 2 s: its time scale is damaged"):
        probe(silent)
    media = probe(loud)
    assert not media.has_video and media.unreadable_video and media.has_audio


@pytest.mark.parametrize("factor", [1 / 100, 1 / 1000])
def test_pictures_long_after_the_sound_beside_them_are_refused(make_clip: MakeClip, factor: float) -> None:
    """Without an edit list nothing else contradicts the time scale."""
    path = make_clip(
        "a.mp4", pts=range(240), audio_seconds=10.0, container_options={"use_editlist": "0"}, gop=24
    )
    media_time_scale(path, factor)
    counts = DecodeCounts()
    parts = list(read(path, media=probe(path), video=True, sounds=[Sound(8000)], counts=counts))
    assert "the sound that lies beside them" in counts.refused["video"] and counts.partial
    pictures = [part for part in parts if not isinstance(part, AudioBlock)]
    assert len(pictures) < 240 / 3
    assert "audio" not in counts.refused


@pytest.mark.parametrize(
    ("name", "step", "count"),
    [("slides", 60 * 24, 20), ("lapse", 24, 20), ("still", 700 * 24, 2), ("quarters", 900 * 24, 4)],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("sound", [0.0, 5.0])
def test_slow_pictures_are_believed(
    make_clip: MakeClip, name: str, step: int, count: int, suffix: str, sound: float
) -> None:
    """A slide each minute, a picture a second, a long still, one each quarter of an hour."""
    path = make_clip(f"{name}.{suffix}", pts=range(0, step * count, step), audio_seconds=sound)
    counts = DecodeCounts()
    media = probe(path)
    pictures = [
        part
        for part in read(path, media=media, video=True, sounds=[], counts=counts)
        if not isinstance(part, AudioBlock)
    ]
    assert len(pictures) == count and not counts.refused and media.unreadable_video is None
    assert pictures[-1].start_seconds == pytest.approx(step * (count - 1) / 24, abs=0.1)
