"""Thumbnails: files that open, of the right frames, in time order, with the colours of the picture."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from extract.errors import UsageError
from extract.registry import make_expert
from extract.types import Frame, Item, MediaInfo, Scene

MEDIA = MediaInfo("x.mp4", 0, "mp4", None, has_video=True, has_audio=False)
FPS = 10


def frame(index: int, height: int = 360, width: int = 640) -> Frame:
    """Five flat bands, from dark to bright, tinted by the frame's number."""
    levels = np.repeat(np.arange(40, 240, 40), height // 5).astype(np.uint8)
    image = np.zeros((height, width, 3), np.uint8)
    image[:] = levels[:, None, None]
    image[..., 2] = index
    return Frame(image, index, index / FPS, (index + 1) / FPS)


def scene(number: int, start: int, end: int, keyframe: int) -> Scene:
    key = keyframe / FPS, (keyframe + 1) / FPS
    return Scene(number, start, end, start / FPS, end / FPS, keyframe, keyframe, *key)


def opened(item: Item) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(item.columns["jpeg"])) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (item.columns["width"], item.columns["height"])
        return np.asarray(picture.convert("RGB"))


def items_of(*frames: Frame, options: Mapping[str, Any] | None = None) -> list[Item]:
    """A shot for each frame."""
    tap = make_expert("thumbnails", options).tap(MEDIA)
    items: list[Item] = []
    for number, key in enumerate(frames):
        items += tap.scene(scene(number, key.index, key.index + 1, key.index), key)
    return [*items, *tap.close()]


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(360, 640, (180, 320)), (640, 360, (320, 180)), (60, 80, (60, 80))]
)
def test_pictures_fit_and_small_ones_stay(height: int, width: int, expected: tuple[int, int]) -> None:
    (item,) = items_of(frame(100, height, width))
    picture = opened(item)
    assert picture.shape == (*expected, 3)
    # JPEG at quality 80 of flat bands: a few levels of error
    middles = [expected[0] // 10 + i * expected[0] // 5 for i in range(5)]
    levels = [[40 * i, 40 * i, 100] for i in range(1, 6)]
    np.testing.assert_allclose(picture[middles, expected[1] // 2], levels, atol=4)


def test_colours_are_the_bands_from_top_to_bottom() -> None:
    (item,) = items_of(frame(100))
    assert item.columns["colours"].dtype == np.float32
    bands = item.columns["colours"].reshape(5, 3)
    np.testing.assert_allclose(bands, [[40 * i, 40 * i, 100] for i in range(1, 6)], atol=1)


def test_a_shots_pictures_are_in_time_order_whenever_its_keyframe_came() -> None:
    tap = make_expert("thumbnails").tap(MEDIA)
    items: list[Item] = []
    for index in (10, 120, 230):  # a long shot: samples ahead of the keyframe
        items += tap.sample(0, frame(index))
    items += tap.scene(scene(0, 0, 250, 125), frame(125))
    items += tap.scene(scene(1, 140, 260, 150), frame(150))
    items += tap.sample(1, frame(250))  # a short one: samples around it
    items += tap.close()
    assert [(i.columns["scene"], i.columns["keyframe"]) for i in items] == [
        (0, False),
        (0, False),
        (0, True),
        (0, False),
        (1, True),
        (1, False),
    ]
    times = [i.start_seconds for i in items]
    assert times == [1.0, 12.0, 12.5, 23.0, 15.0, 25.0]


def test_options_change_size_and_bytes() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (360, 640, 3), dtype=np.uint8)
    key = Frame(noise, 0, 0.0, 0.1)
    (usual,) = items_of(key)
    (coarse,) = items_of(key, options={"quality": "20"})
    (large,) = items_of(key, options={"max_side": "480"})
    assert len(coarse.columns["jpeg"]) < len(usual.columns["jpeg"]) < len(large.columns["jpeg"])
    assert (large.columns["width"], large.columns["height"]) == (480, 270)
    assert make_expert("thumbnails", {"sample_seconds": "none"}).streams().sample_seconds is None


@pytest.mark.parametrize(
    ("option", "value"), [("max_side", "8"), ("quality", "96"), ("quality", "0"), ("sample_seconds", "0")]
)
def test_refused_options(option: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{option} is"):
        make_expert("thumbnails", {option: value})
