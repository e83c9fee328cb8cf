"""Damaged files show the same pictures whoever holds them, and a damaged picture shows the last good one."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from extract.errors import MediaError
from extract.media.damage import LastGood
from extract.media.picture import Picture
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read

CODECS = {  # what writes each file, and what it is written into
    "mpeg2.mpg": ("mpeg2video", {"bf": "2"}),
    "mpeg2.ts": ("mpeg2video", {"bf": "2"}),
    "mpeg4.avi": ("mpeg4", {"bf": "2"}),
    "h264.mp4": ("libx264", {}),
    "h264.ts": ("libx264", {"x264-params": "open-gop=1:slices=2"}),
    "hevc.mp4": ("libx265", {"x265-params": "log-level=none"}),
    "vp8.webm": ("libvpx", {"deadline": "realtime"}),
    "mjpeg.avi": ("mjpeg", {"strict": "-2"}),
    "ffv1.mkv": ("ffv1", {}),
}
SEEDS = range(9)


def damaged(path: Path, seed: int) -> Path:
    """A copy with flipped bits, zeros, or something inserted, after its header."""
    chance = random.Random(f"{path.name} {seed}")
    data = bytearray(path.read_bytes())
    first = len(data) // 10
    if seed % 3 == 0:
        for _ in range(12):
            data[chance.randrange(first, len(data))] ^= 1 << chance.randrange(8)
    else:
        at = chance.randrange(first, len(data) - 1000)
        data[at : at + (800 if seed % 3 == 1 else 0)] = bytes(800) if seed % 3 == 1 else chance.randbytes(800)
    copy = path.with_name(f"{seed}_{path.name}")
    copy.write_bytes(data)
    return copy


def look(picture: Picture) -> tuple[int, str]:
    return picture.pts, hashlib.md5(picture.rgb().tobytes()).hexdigest()


def seen(path: Path, *, hold: int) -> list[tuple[int, str]]:
    """Every picture as it comes, while the last ``hold`` are held."""
    held: list[Picture] = []
    found = []
    for picture in read(path, media=probe(path), video=True, sounds=(), counts=DecodeCounts()):
        assert isinstance(picture, Picture)
        found.append(look(picture))
        held = [*held, picture.kept()][-hold:] if hold else []
    return found


@pytest.mark.parametrize("name", CODECS)
def test_what_is_seen_does_not_depend_on_what_is_held(make_clip: Callable[..., Path], name: str) -> None:
    codec, options = CODECS[name]
    path = make_clip(name, codec=codec, options=options, size=(96, 80))
    compared = 0
    for seed in SEEDS:
        copy = damaged(path, seed)
        try:
            alone = seen(copy, hold=0)
        except MediaError:
            continue
        assert seen(copy, hold=5) == alone and seen(copy, hold=1000) == alone, seed
        compared += len(alone)
    assert compared > 50


def test_a_held_picture_keeps_its_pixels(clip: Path) -> None:
    for picture in read(clip, media=probe(clip), video=True, sounds=(), counts=DecodeCounts()):
        assert isinstance(picture, Picture)
        kept = picture.kept()
        assert np.array_equal(kept.rgb(), picture.rgb())
        assert (kept.index, kept.start_seconds) == (picture.index, picture.start_seconds)
        assert kept.raw.planes[0].buffer_ptr != picture.raw.planes[0].buffer_ptr


def test_a_damaged_picture_shows_the_last_good_one(make_clip: Callable[..., Path]) -> None:
    path = make_clip("hurt.mp4", size=(96, 80), options={"bf": "0"})
    with av.open(str(path)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    at, size = places[20]
    data[at + size // 2 : at + size] = bytes(size - size // 2)
    path.write_bytes(data)
    with av.open(str(path)) as container:
        corrupt = [frame.is_corrupt for frame in container.decode(video=0)]
    first = corrupt.index(True)
    counts = DecodeCounts()
    pictures = list(read(path, media=probe(path), video=True, sounds=(), counts=counts))
    shown = [picture.rgb() for picture in pictures if isinstance(picture, Picture)]
    assert len(shown) == 48 and counts.corrupt_pictures == sum(corrupt) > 0
    assert np.array_equal(shown[first], shown[first - 1])
    assert not np.array_equal(shown[first - 1], shown[first - 2])
    assert [picture.start_seconds for picture in pictures] == pytest.approx([i / 24 for i in range(48)])


def test_a_damaged_picture_before_any_good_one_is_shown_as_it_is() -> None:
    frame = SimpleNamespace(is_corrupt=True)
    rule = LastGood()
    assert rule.push(frame) == (frame, frame)  # type: ignore[arg-type,comparison-overlap]
    assert rule.replaced == 1
