from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from extract.expert import FrameSpec
from extract.media.picture import Picture, View
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read
from extract.types import MediaInfo

QUARTERS = {  # display matrices as MP4 stores them, by clockwise rotation
    90: (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30),
    180: (-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30),
    270: (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30),
}


def pictures(path: Path) -> list[Picture]:
    media = probe(path)
    parts = read(path, media=media, video=True, sounds=(), counts=DecodeCounts())
    return [part for part in parts if isinstance(part, Picture)]


def test_rgb_is_pyavs_own_conversion(clip: Path) -> None:
    with av.open(str(clip)) as container:
        own = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    mine = [picture.rgb() for picture in pictures(clip)]
    assert len(mine) == len(own) == 48
    assert all(np.array_equal(a, b) for a, b in zip(mine, own, strict=True))


@pytest.mark.parametrize("degrees", QUARTERS)
def test_rotation_agrees_with_opencv(
    clip: Path, turn_clip: Callable[[Path, Any], Path], degrees: int
) -> None:
    turn_clip(clip, QUARTERS[degrees])
    assert probe(clip).rotation_degrees == degrees
    capture = cv2.VideoCapture(str(clip))
    shown = cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB)
    capture.release()
    mine = pictures(clip)[0].rgb()
    assert mine.shape == shown.shape == ((48, 64, 3) if degrees == 180 else (64, 48, 3))
    wrong_way = np.abs(mine[::-1, ::-1].astype(int) - shown).mean()
    assert np.abs(mine.astype(int) - shown).mean() < 3 < wrong_way
    assert mine.flags.c_contiguous


def test_pixel_aspect_stretches_the_width(make_clip: Callable[..., Path]) -> None:
    picture = pictures(make_clip("wide.mp4", size=(48, 48), aspect=Fraction(16, 9)))[0]
    assert picture.rgb().shape == (48, 85, 3)
    stretched = cv2.resize(picture.raw.to_ndarray(format="rgb24"), (85, 48), interpolation=cv2.INTER_CUBIC)
    assert np.abs(picture.rgb().astype(int) - stretched).mean() < 3


def test_scaled_sets_the_short_side_and_never_enlarges(make_clip: Callable[..., Path]) -> None:
    picture = pictures(make_clip("c.mp4", size=(128, 70), pts=range(1)))[0]
    assert picture.scaled(FrameSpec(short_side=35)).shape == (35, 64, 3)
    assert picture.scaled(FrameSpec(short_side=35, grey=True)).shape == (35, 64)
    assert np.array_equal(picture.scaled(FrameSpec(short_side=256)), picture.rgb())
    small = picture.scaled(FrameSpec(short_side=35)).astype(float)
    area = cv2.resize(picture.rgb(), (64, 35), interpolation=cv2.INTER_AREA)
    assert np.abs(small - area).mean() < 6 < np.abs(small[::-1] - area).mean()
    grey = picture.scaled(FrameSpec(short_side=35, grey=True))
    assert np.abs(grey - small @ [0.299, 0.587, 0.114]).mean() < 3


def test_small_pictures_are_enlarged_on_request(make_clip: Callable[..., Path]) -> None:
    picture = pictures(make_clip("c.mp4", size=(128, 70), pts=range(1)))[0]
    large = picture.scaled(FrameSpec(short_side=140, enlarge=True))
    assert large.shape == (140, 256, 3)
    expected = cv2.resize(picture.rgb(), (256, 140), interpolation=cv2.INTER_CUBIC)
    assert np.abs(large.astype(int) - expected).mean() < 4
    assert picture.scaled(FrameSpec(short_side=35, enlarge=True)).shape == (35, 64, 3)


def test_a_strip_is_enlarged_as_far_as_memory_allows(make_clip: Callable[..., Path]) -> None:
    strip = pictures(make_clip("strip.mp4", size=(1024, 16), pts=range(1)))[0]
    assert strip.scaled(FrameSpec(short_side=256, enlarge=True)).shape == (64, 4096, 3)


def test_thumbnail_of_a_turned_picture_is_the_turned_thumbnail(
    clip: Path, turn_clip: Callable[[Path, Any], Path]
) -> None:
    plain = pictures(clip)[0].thumbnail(27, 48)
    turned = pictures(turn_clip(clip, QUARTERS[90]))[0].thumbnail(48, 27)
    assert turned.shape == (27, 48, 3)
    assert np.array_equal(turned, np.rot90(plain, -1))


def test_raw_size_is_known_without_converting(clip: Path) -> None:
    assert pictures(clip)[0].size_bytes >= 64 * 48 * 3 // 2


def test_a_view_refuses_what_it_cannot_show() -> None:
    audio = MediaInfo("a", 1, "wav", 1.0, has_video=False, has_audio=True)
    with pytest.raises(ValueError, match="video"):
        View(audio)
    tilted = MediaInfo("a", 1, "mp4", 1.0, True, False, width=4, height=4, rotation_degrees=45)
    with pytest.raises(ValueError, match="45"):
        View(tilted)


def test_thumbnails_are_those_transnetv2_was_published_with(media: Path, parity: Any) -> None:
    reference = parity.reference("transnetv2")
    starts = np.concatenate([[0], np.cumsum(-(-reference["video_frames"] // 100))])
    compared = 0
    for position, name in enumerate(reference["video_names"]):
        path = next((p for p in media.rglob("*") if p.name == Path(str(name)).name), None)
        frames = int(reference["video_frames"][position])
        if path is None or not 100 < frames < 800:
            continue
        count, mine = 0, []
        for count, picture in enumerate(pictures(path), 1):
            if count % 100 == 1:
                mine.append(picture.thumbnail(48, 27))
        if count != frames:  # ffmpeg repeats pictures to even out a variable frame rate
            continue
        stored = reference["video_frames_every100"][starts[position] : starts[position + 1]]
        assert np.abs(np.stack(mine).astype(int) - stored).mean() <= 2.0, name
        compared += 1
    assert compared >= 5
