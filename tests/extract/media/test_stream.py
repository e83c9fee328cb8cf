from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from extract.errors import MediaError
from extract.media.picture import Picture
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read
from extract.types import AudioBlock, Sound

MakeClip = Callable[..., Path]
FPS = 24


def split(
    path: Path, *, rates: Sequence[int] = (), video: bool = True, threads: int = 1
) -> tuple[list[Picture], list[AudioBlock], DecodeCounts]:
    counts = DecodeCounts()
    parts = list(
        read(
            path,
            media=probe(path),
            video=video,
            sounds=[Sound(rate) for rate in rates],
            counts=counts,
            threads=threads,
        )
    )
    pictures = [part for part in parts if isinstance(part, Picture)]
    return pictures, [part for part in parts if isinstance(part, AudioBlock)], counts


def test_one_pass_gives_every_picture_and_sample_once(clip: Path) -> None:
    pictures, blocks, counts = split(clip, rates=[44100, 16000])
    assert [picture.index for picture in pictures] == list(range(48))
    assert counts.pictures_decoded == counts.video_packets == 48
    assert counts.samples_decoded == sum(len(b.samples) for b in blocks if b.sample_rate == 44100)
    assert not counts.partial
    assert (counts.first_seconds, counts.last_seconds) == (0.0, max(b.end_seconds for b in blocks))
    with av.open(str(clip)) as container:
        own = [frame.to_ndarray() for frame in container.decode(video=0)]
    assert all(np.array_equal(p.raw.to_ndarray(), frame) for p, frame in zip(pictures, own, strict=True))


def test_the_tone_is_where_it_was_put(clip: Path) -> None:
    _, blocks, _ = split(clip, rates=[44100])
    samples = np.concatenate([block.samples for block in blocks])
    start = blocks[0].start_seconds
    seconds = start + np.arange(len(samples)) / 44100
    inside = (seconds > 0.2) & (seconds < 1.8)
    expected = np.sin(2 * np.pi * 440 * seconds) * 12000 / 32768
    # AAC itself is off by 0.003; one sample too early or late would be 0.015
    assert np.abs(samples - expected)[inside].mean() < 0.006


def test_only_what_is_asked_for_is_decoded(clip: Path) -> None:
    pictures, blocks, counts = split(clip)
    assert (len(pictures), len(blocks), counts.audio_packets, counts.samples_decoded) == (48, 0, 0, 0)
    pictures, blocks, counts = split(clip, video=False, rates=[16000])
    assert (len(pictures), counts.video_packets, counts.pictures_decoded) == (0, 0, 0)
    assert blocks[-1].end_seconds == pytest.approx(2.0, abs=0.05)
    assert split(clip, video=False)[2] == DecodeCounts()


def test_more_threads_change_nothing(clip: Path) -> None:
    one, _, _ = split(clip)
    two, _, _ = split(clip, threads=2)
    assert all(np.array_equal(a.rgb(), b.rgb()) for a, b in zip(one, two, strict=True))


def test_a_picture_lasts_until_the_next_one(make_clip: MakeClip) -> None:
    when = [0, 1, 2, 10, 11, 30, 31]
    pictures, _, _ = split(make_clip("vfr.mkv", pts=when))
    assert [p.start_seconds for p in pictures] == pytest.approx([w / FPS for w in when], abs=6e-4)
    assert all(a.end_seconds == b.start_seconds for a, b in pairwise(pictures))
    assert pictures[-1].end_seconds > pictures[-1].start_seconds


def test_a_late_start_stays_late(make_clip: MakeClip) -> None:
    pictures, _, counts = split(make_clip("late.ts", codec="mpeg2video", pts=range(2400, 2424)))
    assert pictures[0].start_seconds == pytest.approx(pictures[0].pts / 90000)
    assert pictures[0].start_seconds >= 100
    assert counts.first_seconds == pictures[0].start_seconds


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv"])
def test_a_truncated_file_gives_what_is_there(make_clip: MakeClip, name: str) -> None:
    index_first = {"movflags": "faststart"} if name.endswith("mp4") else {}
    path = make_clip(name, container_options=index_first, size=(320, 240))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    pictures, _, counts = split(path)
    assert 5 < len(pictures) < 48
    assert counts.truncated


def test_damaged_packets_are_counted_and_passed_over(make_clip: MakeClip) -> None:
    path = make_clip("hurt.mp4", size=(320, 240))
    with av.open(str(path)) as container:
        at = [packet.pos or 0 for packet in container.demux(video=0) if packet.size][20]
    data = bytearray(path.read_bytes())
    data[at : at + 400] = bytes(np.random.default_rng(1).integers(0, 256, 400, dtype=np.uint8))
    path.write_bytes(data)
    pictures, _, counts = split(path)
    assert counts.decode_errors > 0 and counts.partial and not counts.truncated
    assert pictures[-1].start_seconds == pytest.approx(47 / FPS)


def test_a_file_of_which_nothing_decodes_is_an_error(make_clip: MakeClip) -> None:
    path = make_clip("noise.mp4")
    media = probe(path)
    with av.open(str(path)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for at, size in places:
        data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    with pytest.raises(MediaError, match="nothing could be decoded"):
        list(read(path, media=media, video=True, sounds=(), counts=DecodeCounts()))


def test_real_awkward_files(media: Path) -> None:
    folder = media / "nasty" / "dev"
    for entry in json.loads((folder / "expected.json").read_text())["files"]:
        if entry["expected"] == "reject":
            continue
        pictures, blocks, counts = split(folder / entry["name"], rates=[16000])
        assert bool(pictures) == (entry["expected"] != "audio_only"), entry
        assert bool(blocks) == (entry["expected"] != "ok_no_audio"), entry
        assert counts.partial == (entry["expected"] == "partial"), entry
        assert all(a.end_seconds == b.start_seconds for a, b in pairwise(pictures))


def test_facts_of_real_clips(media: Path) -> None:
    pictures, blocks, _ = split(media / "nasty/dev/starts_at_100s.ts", rates=[16000])
    assert pictures[0].start_seconds == pytest.approx(100)
    assert blocks[0].start_seconds == pytest.approx(100, abs=0.05)
    pictures, _, _ = split(media / "nasty/dev/vfr_dropped_frames.mp4")
    assert max(p.end_seconds - p.start_seconds for p in pictures) == pytest.approx(20 / FPS)
    pictures, _, _ = split(media / "nasty/dev/wrong_duration_header.mp4")
    assert pictures[-1].end_seconds == pytest.approx(5.0)
    # Theora repeats a picture with an empty packet: no damage, the picture just stays
    pictures, _, counts = split(media / "popcorn/trailer.ogv")
    assert not counts.partial
    assert pictures[-1].end_seconds == pytest.approx(64.54, abs=0.01)
