"""The eight ways to lay a picture, against what FFmpeg's autorotate filters do by their documentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from extract.media.picture import Picture
from extract.media.probe import probe
from extract.media.stream import DecodeCounts, read

Image = NDArray[np.uint8]
ONE = 1 << 16

# a, b, c, d of the display matrix; ffmpeg_filter.c inserts: nothing, transpose=clock, hflip and vflip,
# transpose=cclock, vflip, transpose=cclock_flip, hflip, transpose=clock_flip
LAYS: dict[str, tuple[tuple[int, int, int, int], Callable[[Image], Image]]] = {
    "upright": ((1, 0, 0, 1), lambda image: image),
    "clock": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "hflip, vflip": ((-1, 0, 0, -1), lambda image: image[::-1, ::-1]),
    "cclock": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "vflip": ((1, 0, 0, -1), lambda image: image[::-1]),
    "cclock_flip": ((0, 1, 1, 0), lambda image: np.rot90(image, 1)[::-1]),
    "hflip": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "clock_flip": ((0, -1, -1, 0), lambda image: np.rot90(image, -1)[::-1]),
}


def first_picture(path: Path) -> Image:
    parts = read(path, media=probe(path), video=True, sounds=(), counts=DecodeCounts())
    picture = next(iter(parts))
    assert isinstance(picture, Picture)
    return picture.rgb()


@pytest.mark.parametrize("name", LAYS)
def test_a_display_matrix_lays_the_picture_as_ffmpeg_does(
    clip: Path, turn_clip: Callable[[Path, Any], Path], name: str
) -> None:
    stored = first_picture(clip)
    (a, b, c, d), laid = LAYS[name]
    turn_clip(clip, (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30))
    shown, expected = first_picture(clip), laid(stored)
    media = probe(clip)
    assert (media.height, media.width) == shown.shape[:2] == expected.shape[:2]
    assert np.array_equal(shown, expected)
    assert media.flipped == ("flip" in name and name != "hflip, vflip")


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 1, 1, 1)])
def test_a_matrix_that_squeezes_the_picture_flat_is_ignored(
    clip: Path, turn_clip: Callable[[Path, Any], Path], matrix: tuple[int, int, int, int]
) -> None:
    stored = first_picture(clip)
    a, b, c, d = matrix
    turn_clip(clip, (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30))
    assert np.array_equal(first_picture(clip), stored)


def test_a_slanted_picture_goes_to_the_nearest_quarter(
    clip: Path, turn_clip: Callable[[Path, Any], Path]
) -> None:
    tilt = round(0.1 * ONE)
    turn_clip(clip, (tilt, ONE, 0, -ONE, tilt, 0, 0, 0, 1 << 30))
    assert (probe(clip).rotation_degrees, probe(clip).flipped) == (90, False)
