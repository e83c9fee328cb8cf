"""Every n-th frame of a shot, averaged: which frames, when they leave, and what they are called."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from extract.errors import UsageError
from extract.expert import Resources
from extract.experts._frames import MOST, FramesModel, FramesTap
from extract.experts._pictures import IMAGENET, PictureModel
from extract.fingerprint import fingerprint
from extract.registry import make_expert
from extract.types import Frame, Item, Scene

FPS = 10


def frame(index: int) -> Frame:
    return Frame(np.full((2, 2, 3), index % 256, np.uint8), index, index / FPS, (index + 1) / FPS)


def scene(number: int, start: int, end: int) -> Scene:
    middle = (start + end) // 2
    times = (middle / FPS, (middle + 1) / FPS)
    return Scene(number, start, end, start / FPS, end / FPS, middle, middle, *times)


def items(cuts: list[int], nth: int, *, ahead: int | None = None) -> list[Item]:
    """The items of shots between these frames; with ``ahead`` the detector settles so many frames late."""
    tap, shots = FramesTap(lambda image: image, nth), list(pairwise(cuts))
    found: list[Item] = []
    done = 0
    for index in range(cuts[-1]):
        found += tap.frame(frame(index))
        while ahead is not None and done < len(shots) and index >= shots[done][1] + ahead:
            found += tap.scene(scene(done, *shots[done]), frame(sum(shots[done]) // 2))
            done += 1
        if ahead is not None:
            found += tap.settled(shots[done][0] / FPS, max(shots[done][0], index - ahead) / FPS)
    for number in range(done, len(shots)):
        found += tap.scene(scene(number, *shots[number]), frame(sum(shots[number]) // 2))
    return found


def seen(found: list[Item]) -> list[tuple[int, list[int]]]:
    return [(item.columns["scene"], item.arrays["images"][:, 0, 0, 0].tolist()) for item in found]


def test_first_and_last_frames_are_left_out_and_a_short_shot_has_its_keyframe() -> None:
    cuts = [0, 12, 14, 31, 40]
    assert seen(items(cuts, 5)) == [(0, [5, 10]), (1, [13]), (2, [15, 20, 25]), (3, [35])]
    assert seen(items(cuts, 1))[0] == (0, list(range(1, 11)))
    assert seen(items([0, 11, 30], 10)) == [(0, [5]), (1, [20])], "frames 0 and 10 are its first and last"
    (first, *_) = items(cuts, 5)
    assert (first.start_seconds, first.end_seconds, first.columns["frames"]) == (0.5, 1.1, 2)


@pytest.mark.parametrize("nth", [1, 3])
def test_what_is_seen_does_not_depend_on_when_the_detector_settles(nth: int) -> None:
    cuts = [0, 12, 14, 31, 240]
    expected = seen(items(cuts, nth))
    for ahead in (0, 1, 7):
        assert seen(items(cuts, nth, ahead=ahead)) == expected, ahead


def test_a_long_shot_has_a_row_for_each_so_many_pictures() -> None:
    found = items([0, 2 * MOST + 12], 1)
    assert [item.columns["frames"] for item in found] == [MOST, MOST, 10]
    assert all(item.columns["scene"] == 0 for item in found)


def test_a_row_is_the_mean_of_the_pictures_vectors() -> None:
    network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
    pictures = PictureModel(network, Resources(), IMAGENET)
    images = np.random.default_rng(0).integers(0, 256, (5, 224, 224, 3), np.uint8)
    rows = FramesModel(pictures)(
        [Item(0.0, 1.0, arrays={"images": images}, columns={"scene": 0, "frames": 5})]
    )
    with torch.no_grad():
        expected = pictures.compute([torch.from_numpy(images)]).numpy().mean(axis=0)
    np.testing.assert_allclose(rows[0][0]["embedding"], expected, atol=1e-5)


def digest(name: str, **options: Any) -> str:
    expert = make_expert(name, options)
    return fingerprint(
        expert, weights={}, upstream={}, precision="float32", dtype="float16", random_seed=None
    )[0]


@pytest.mark.parametrize("name", ["senet", "places"])
def test_keyframes_keep_their_fingerprint_and_every_choice_has_its_own(name: str) -> None:
    assert make_expert(name).settings() == {"version": 1}
    found = [digest(name), digest(name, frames="every"), digest(name, frames="every", nth=5)]
    assert len(set(found)) == 3
    assert digest(name, frames="keyframe", nth=5) == found[0]
    assert [column.name for column in make_expert(name, {"frames": "every"}).tables()[name].columns] == [
        "scene", "frames",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="frames is"):
        make_expert(name, {"frames": "all"})
    with pytest.raises(UsageError, match="nth is 0"):
        make_expert(name, {"nth": 0})
