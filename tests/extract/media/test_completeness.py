"""Files that are cut anywhere say so; whole ones do not."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from extract.errors import MediaError
from extract.media.completeness import Mp3Frames, mp3_frames
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read
from extract.types import Sound

CLIPS: dict[str, dict[str, Any]] = {
    "a.mkv": {"audio_seconds": 2.0},
    "a.webm": {"codec": "libvpx", "options": {"deadline": "realtime"}},
    "a.ts": {"audio_seconds": 2.0, "codec": "mpeg2video"},
    "h264.ts": {"audio_seconds": 2.0},
    "a.mpg": {"codec": "mpeg2video"},
    "a.avi": {"codec": "mpeg4", "audio_seconds": 2.0},
    "a.wmv": {"codec": "wmv2"},
    "a.flv": {"codec": "flv"},
    "a.mp4": {"audio_seconds": 2.0, "container_options": {"movflags": "faststart"}},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "a.ogg": {"codec": None, "audio_seconds": 4.0},
    "a.flac": {"codec": None, "audio_seconds": 2.0},
    "a.wav": {"codec": None, "audio_seconds": 2.0},
    "a.aiff": {"codec": None, "audio_seconds": 2.0},
    "a.au": {"codec": None, "audio_seconds": 2.0},
    "xing.mp3": {"codec": None, "audio_seconds": 4.0},
    "bare.mp3": {"codec": None, "audio_seconds": 4.0, "container_options": {"write_xing": "0"}},
    "a.ac3": {"codec": None, "audio_seconds": 4.0},
    "a.aac": {"codec": None, "audio_seconds": 4.0},
}


def partial(path: Path) -> bool:
    """Whether something is missing by a pass over all that is there, or nothing is."""
    counts = DecodeCounts()
    try:
        media = probe(path)
        sounds = [Sound(16_000)] if media.has_audio else []
        for _ in read(path, media=media, video=media.has_video, sounds=sounds, counts=counts):
            pass
    except MediaError:
        return True
    return counts.partial


@pytest.mark.parametrize("name", CLIPS)
def test_a_cut_file_is_partial_and_a_whole_one_is_not(make_clip: Callable[..., Path], name: str) -> None:
    path = make_clip(name, **CLIPS[name])
    assert not partial(path)
    data, chance = path.read_bytes(), random.Random(name)
    for tenths in (1, 3, 5, 8, 9):
        share = tenths / 10 + chance.uniform(0, 0.08)
        path.write_bytes(data[: round(len(data) * share)])
        assert partial(path), share


def test_a_hole_in_a_matroska_file_is_seen(make_clip: Callable[..., Path]) -> None:
    """Its demuxer looks for the next cluster and says nothing of what it passed over."""
    path = make_clip("hole.mkv", size=(320, 240), audio_seconds=2.0)
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 4, len(data) * 9 // 10):
        data[at] = 0
    path.write_bytes(data)
    assert partial(path)


def test_missing_ogg_pages_are_seen(make_clip: Callable[..., Path]) -> None:
    path = make_clip("gap.ogg", codec=None, audio_seconds=8.0)
    data = path.read_bytes()
    pages = [at for at in range(len(data)) if data[at : at + 4] == b"OggS"]
    assert len(pages) > 5
    path.write_bytes(data[: pages[3]] + data[pages[4] :])
    assert partial(path)


def test_a_header_of_an_mp3_says_how_many_frames_there_are(make_clip: Callable[..., Path]) -> None:
    path = make_clip("a.mp3", codec=None, audio_seconds=4.0)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    with open(path, "rb") as file:
        assert mp3_frames(file) == len(packets)
    frames = Mp3Frames()
    for packet in packets:
        frames.push(packet)
    assert frames.count == len(packets) and not frames.last_is_cut
    frames.push(packets[0][:-2])
    assert frames.last_is_cut


def test_aac_that_is_cut_anywhere_inside_a_frame_is_partial(make_clip: Callable[..., Path]) -> None:
    """Also right after the frame's header, where the demuxer drops what is left without a word."""
    path = make_clip("a.aac", codec=None, audio_seconds=0.5)
    data, starts = path.read_bytes(), [0]
    while (at := starts[-1]) < len(data):
        starts.append(at + (int.from_bytes(data[at + 3 : at + 6], "big") >> 5 & 0x1FFF))
    for rest in (1, 6, 7, 8):
        path.write_bytes(data[: starts[-3] + rest])
        assert partial(path), rest
