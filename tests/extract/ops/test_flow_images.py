"""Levels of flow pictures at their edges, and names."""

from __future__ import annotations

import numpy as np

from extract.ops.flow_images import folder_name, quantise


def test_levels() -> None:
    pixels = np.array([-1e9, -20, -10, -0.1, 0.1, 10, 19.99, 20, 1e9], np.float32)
    assert quantise(pixels).tolist() == [0, 0, 64, 127, 128, 191, 255, 255, 255]


def test_videos_of_one_name_have_two_folders() -> None:
    a, b = folder_name("one/film.mp4"), folder_name("two/film.mp4")
    assert a != b and a.startswith("film-") and folder_name("one/film.mp4") == a
