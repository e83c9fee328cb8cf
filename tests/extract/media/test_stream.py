from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange

from extract.errors import DeviceUnusable
from extract.media import container
from extract.media.clock import Stamp
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


def test_what_a_gpu_would_have_to_do_is_told_where_there_is_none(clip: Path) -> None:
    """Whatever keeps FFmpeg from the decoder here: no driver, or no GPU of that number."""
    with pytest.raises(DeviceUnusable, match="--decode cuda: the video decoder of GPU 1000 cannot be used"):
        list(read(clip, media=probe(clip), video=True, sounds=(), counts=DecodeCounts(), gpu=1000))
    heard = DecodeCounts()
    assert list(
        read(clip, media=probe(clip), video=False, sounds=[Sound(16000)], counts=heard, gpu=1000)
    )  # sound needs none


@pytest.mark.parametrize(("planes", "full"), [("yuv420p", False), ("yuv420p", True), ("yuv422p10le", False)])
def test_a_gpus_pictures_are_laid_out_as_a_cpus(clip: Path, planes: str, full: bool) -> None:
    """In place of NVDEC, FFmpeg puts the CPU's pictures into NVDEC's formats; nothing of them is lost."""
    packed = next(name for name, planar in container.PLANAR.items() if planar == planes)
    for picture in split(clip)[0][::16]:
        own = picture.raw.reformat(format=planes)
        own.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        theirs = own.reformat(format=packed)
        assert container.is_gpus(theirs) and not container.is_gpus(own) and container.in_planes(own) is own
        back = container.in_planes(theirs)
        assert (back.pts, back.time_base, back.opaque) == (own.pts, own.time_base, picture.raw.opaque)
        assert isinstance(back.opaque, Stamp)
        assert np.array_equal(replace(picture, raw=back).kept().rgb(), replace(picture, raw=own).rgb())


def test_what_the_gpu_does_not_take_is_the_cpus_to_the_bit(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "_gpu_decoder", lambda gpu: None)
    counts = DecodeCounts()
    parts = read(clip, media=probe(clip), video=True, sounds=(), counts=counts, gpu=0)
    pictures = [part for part in parts if isinstance(part, Picture)]
    assert (counts.pictures_by_gpu, counts.pictures_decoded, counts.partial) == (0, 48, False)
    for mine, plain in zip(pictures, split(clip)[0], strict=True):
        assert (mine.index, mine.pts, mine.start_seconds) == (plain.index, plain.pts, plain.start_seconds)
        assert np.array_equal(mine.rgb(), plain.rgb())


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


def test_a_file_of_which_nothing_decodes_gives_nothing(make_clip: MakeClip) -> None:
    path = make_clip("noise.mp4")
    media = probe(path)
    with av.open(str(path)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for at, size in places:
        data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    counts = DecodeCounts()
    assert not list(read(path, media=media, video=True, sounds=(), counts=counts))
    assert counts.decode_errors == len(places) and counts.partial


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


def beeping(path: Path, *, seconds: float, sound_seconds: float, change_seconds: float) -> Path:
    """Black that turns white and silence that turns to a tone at the same time, in a transport stream."""
    rate = 48_000
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio: Any = out.add_stream("mp2", rate=rate, layout="mono")
        samples = np.zeros((1, round(sound_seconds * rate)), np.int16)
        start = round(change_seconds * rate)
        samples[0, start:] = np.sin(np.arange(samples.shape[1] - start) * 0.1) * 20_000
        for at in range(0, samples.shape[1], 1152):
            frame = av.AudioFrame.from_ndarray(samples[:, at : at + 1152], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            out.mux(audio.encode(frame))
        out.mux(audio.encode(None))
        for index in range(round(seconds * 25)):
            grey = np.full((48, 64, 3), 235 if index / 25 >= change_seconds else 16, np.uint8)
            picture = av.VideoFrame.from_ndarray(grey, "rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
    return path


@pytest.mark.parametrize("short", [0.0, 0.72, 1.44], ids=["together", "sound early", "sound far earlier"])
@pytest.mark.parametrize("early", ["sound", "picture"])
def test_picture_and_sound_stay_together_where_the_clock_restarts(
    tmp_path: Path, early: str, short: float
) -> None:
    lasts = {"picture": 4.0, "sound": 4.0} | {early: 4.0 - short}
    parts = [
        beeping(tmp_path / f"{n}.ts", seconds=p, sound_seconds=s, change_seconds=c)
        for n, p, s, c in ((1, lasts["picture"], lasts["sound"], 1.0), (2, 4.0, 4.0, 2.0))
    ]
    glued = tmp_path / "glued.ts"
    glued.write_bytes(b"".join(part.read_bytes() for part in parts))
    pictures, blocks, _ = split(glued, rates=[48_000])
    bright = [picture.rgb().mean() > 128 for picture in pictures]
    cuts = [
        b.start_seconds
        for b, was, now in zip(pictures[1:], bright[:-1], bright[1:], strict=True)
        if now > was
    ]
    samples = np.abs(np.concatenate([block.samples for block in blocks]))
    lasting = np.convolve(samples > 0.1, np.ones(9600), "full")[9599:] > 4800  # the rest of a tone rings on
    loud = np.flatnonzero((samples > 0.1) & lasting)
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-48_000) > 4800)] / 48_000 + blocks[0].start_seconds
    assert len(cuts) == len(starts) == 2
    assert starts == pytest.approx(cuts, abs=0.05)  # a frame of sound, and what its encoder adds
    assert cuts[1] - cuts[0] == pytest.approx(4.0 - 1.0 + 2.0, abs=0.05)  # 4 s is where the longer one ends


def test_times_do_not_depend_on_what_is_asked_for(tmp_path: Path) -> None:
    parts = [
        beeping(tmp_path / f"{n}.ts", seconds=2.0, sound_seconds=s, change_seconds=1.0)
        for n, s in ((1, 3.0), (2, 2.0))
    ]
    glued = tmp_path / "glued.ts"
    glued.write_bytes(b"".join(part.read_bytes() for part in parts))
    both, sound, _ = split(glued, rates=[16_000])
    alone, _, _ = split(glued)
    _, alone_sound, _ = split(glued, video=False, rates=[16_000])
    assert [p.start_seconds for p in alone] == [p.start_seconds for p in both]
    assert [b.start_seconds for b in alone_sound] == [b.start_seconds for b in sound]


@pytest.mark.parametrize("name", ["still.mp4", "still.mkv"])
@pytest.mark.parametrize("sound", [False, True])
def test_a_still_of_more_than_ten_minutes_is_a_still(make_clip: MakeClip, name: str, sound: bool) -> None:
    when = [*range(24), *range(720 * 24, 721 * 24)]
    arguments = {"audio_seconds": 721.0, "rate": 8000} if sound else {}
    pictures, blocks, counts = split(make_clip(name, pts=when, **arguments), rates=[8000] if sound else [])
    assert pictures[23].end_seconds == pictures[24].start_seconds == pytest.approx(720, abs=1e-3)
    assert pictures[-1].end_seconds == pytest.approx(721, abs=0.05)
    assert not sound or blocks[-1].end_seconds == pytest.approx(721, abs=0.2)
    assert not counts.partial


def strays(samples: np.ndarray, rate: int, *, frequency: float) -> float:
    """The largest deviation of a tone's blocks of 20 ms from its loudness, in shares of it."""
    block = rate // 50
    loudness = np.sqrt((samples[: len(samples) // block * block].reshape(-1, block) ** 2).mean(axis=1))
    assert np.sqrt((samples**2).mean()) > 0.1 and frequency
    return float(np.abs(loudness / np.median(loudness) - 1).max())


@pytest.mark.parametrize(("suffix", "rates"), [("ogg", (48_000, 44_100)), ("ogg", (44_100, 44_100, 22_050))])
def test_every_link_of_a_chained_ogg_is_heard(
    make_clip: MakeClip, suffix: str, rates: tuple[int, ...]
) -> None:
    links = [
        make_clip(f"{n}.{suffix}", codec=None, audio_seconds=2.0, rate=rate).read_bytes()
        for n, rate in enumerate(rates)
    ]
    path = make_clip(f"chained.{suffix}", codec=None, audio_seconds=1.0)
    path.write_bytes(b"".join(links))
    _, blocks, counts = split(path, rates=[16_000])
    samples = np.concatenate([block.samples for block in blocks])
    assert len(samples) / 16_000 == pytest.approx(2.0 * len(rates), abs=0.01)
    assert all(b.start_seconds - a.end_seconds == pytest.approx(0, abs=2e-4) for a, b in pairwise(blocks))
    assert strays(samples[400:-400], 16_000, frequency=440) < 0.2
    assert not counts.partial


@pytest.mark.parametrize("suffix", ["aac", "mp3", "ac3"])
def test_bare_frames_whose_rate_changes_are_counted(make_clip: MakeClip, suffix: str) -> None:
    """FFmpeg makes their timestamps up from the first rate; the right length is that of the samples."""
    rates = (44_100, 32_000, 48_000)
    parts, seconds = [], 0.0
    for rate in rates:
        part = make_clip(f"{rate}.{suffix}", codec=None, audio_seconds=3.0, rate=rate)
        _, blocks, _ = split(part, rates=[rate])
        seconds += sum(len(block.samples) for block in blocks) / rate
        parts.append(part.read_bytes())
    path = make_clip(f"changes.{suffix}", codec=None, audio_seconds=1.0)
    path.write_bytes(b"".join(parts))
    _, blocks, _ = split(path, rates=[16_000])
    assert blocks[-1].end_seconds - blocks[0].start_seconds == pytest.approx(seconds, abs=0.1)
    assert all(b.start_seconds - a.end_seconds == pytest.approx(0, abs=2e-4) for a, b in pairwise(blocks))
    samples = np.concatenate([block.samples for block in blocks])
    silent = np.abs(samples.reshape(-1)[: len(samples) // 160 * 160].reshape(-1, 160)).max(axis=1) < 0.01
    assert silent.mean() < 0.04  # what the encoders put before and after each part
