"""What holds for every expert of windows of sound: nothing is left out, short sound is heard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from extract.expert import Expert
from extract.experts._audio import check_windows
from extract.registry import make_expert
from extract.types import AudioBlock, Item, MediaInfo

MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, False, True)
WINDOWS = {  # seconds of the window and the hop
    "ast": (10.0, 5.0),
    "beats": (3.0, 1.5),
    "musicnet": (22.0, 11.0),
    "panns": (3.0, 1.5),
    "vggish": (0.975, 0.96),
}


def items_of(expert: Expert, seconds: float, start: float = 0.0) -> list[Item]:
    rate = expert.streams().audio_rate
    assert rate is not None
    samples = np.random.default_rng(3).uniform(-1, 1, round(seconds * rate)).astype(np.float32)
    tap = expert.tap(MEDIA)
    items: list[Item] = []
    for at in range(0, len(samples), 7_000):
        items += tap.audio(AudioBlock(samples[at : at + 7_000], rate, start + at / rate))
    return items + list(tap.close())


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_follow_each_other_and_end_with_the_sound(name: str) -> None:
    window, hop = WINDOWS[name]
    seconds = window + 2.7 * hop
    items = items_of(make_expert(name), seconds, start=2.5)
    starts = [item.start_seconds - 2.5 for item in items]
    ends = [item.end_seconds - 2.5 for item in items]
    np.testing.assert_allclose(starts, [0, hop, 2 * hop, 3 * hop], atol=1e-6)
    np.testing.assert_allclose(
        ends, [window, hop + window, 2 * hop + window, min(seconds, 3 * hop + window)], atol=1e-4
    )
    assert all(item.arrays[key].shape == items[0].arrays[key].shape for item in items for key in item.arrays)


def test_a_short_remainder_is_heard_in_a_window_that_ends_with_the_sound() -> None:
    *_, before, last = items_of(make_expert("vggish"), 2 * 0.96 + 0.3)
    assert (before.start_seconds, before.end_seconds) == pytest.approx((0.96, 1.935))
    assert (last.start_seconds, last.end_seconds) == pytest.approx((2.22 - 0.975, 2.22))


@pytest.mark.parametrize("name", WINDOWS)
def test_short_sound_is_one_finite_item_and_no_sound_none(name: str) -> None:
    expert = make_expert(name)
    for seconds in (0.001, 0.1):
        (item,) = items_of(expert, seconds)
        assert (item.start_seconds, item.end_seconds) == pytest.approx((0, seconds))
        assert all(len(array) for array in item.arrays.values())
    assert items_of(expert, 0.0) == []


@pytest.mark.parametrize("name", WINDOWS)
def test_sound_alone_is_enough(name: str) -> None:
    expert = make_expert(name)
    assert expert.reads_media and not expert.follows_scenes
    assert expert.missing_stream(MEDIA) is None
    assert expert.missing_stream(MediaInfo("x.mp4", 1, "mp4", 1.0, True, False)) == "no audio stream"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("musicnet", {"window_seconds": 20.0}, "20.0; allowed: 20.464 to 40.94"),
        ("musicnet", {"window_seconds": 41.0}, "41.0; allowed: 20.464 to 40.94"),
        ("musicnet", {"trained_on": "gtzan"}, "'gtzan'; allowed: msd, mtat, jamendo"),
        ("beats", {"window_seconds": 0.1}, "0.1; allowed: 0.175 to 30.0"),
        ("beats", {"hop_seconds": 4.0}, r"4.0; allowed: 0.01 to window_seconds \(3.0\)"),
        ("ast", {"window_seconds": 11.0}, "11.0; allowed: 0.025 to 10.255"),
        ("ast", {"hop_seconds": 0.0}, "0.0; allowed: 0.01"),
        ("vggish", {"variant": "pca"}, "'pca'; allowed: raw_relu, raw_pre, pca_clipped"),
    ],
)
def test_options_say_what_is_allowed(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        type(make_expert(name)).Options(**options)


def test_the_limits_themselves_are_allowed() -> None:
    check_windows(1.0, 1.0, shortest_seconds=1.0, longest_seconds=1.0)
