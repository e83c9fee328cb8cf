"""The engine on a simulated machine: how busy the device is, and what waits for it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from bench.simulate import HEIGHT, PRESETS, QUEUE_BYTES, SLOWER, WIDTH, simulate, stack_items
from extract.experts.i3d import I3d
from extract.experts.r2plus1d import R2plus1d
from extract.types import Frame, MediaInfo, Scene

FAST, SLOW = 1.0, SLOWER

run = cache(simulate)


@pytest.mark.parametrize(
    ("preset", "slower", "videos"),
    [
        ("sulun2024", FAST, 80),
        ("sulun2024", SLOW, 50),
        ("fish2021", FAST, 50),
        pytest.param("fish2021", SLOW, 40, marks=pytest.mark.slow),
    ],
)
def test_the_device_is_busy_at_the_defaults(preset: str, slower: float, videos: int) -> None:
    report = run(preset, slower=slower, videos=videos)
    assert report.busy["device"] >= 0.95
    assert report.peak_bytes <= QUEUE_BYTES


def test_batches_are_full_and_take_no_more_room_than_they_need() -> None:
    report = run("fish2021", slower=FAST, videos=50)
    assert min(report.fill.values()) >= 0.95
    assert report.peak_bytes <= 6 << 30  # four batches: 3.2 GB of i3d, twice 1.1 of shots of 29 pictures


@pytest.mark.slow
def test_little_room_is_kept_to_and_costs_speed() -> None:
    """Within 128 MiB batches of clips are a third full, and networks compute what they are padded with."""
    little = simulate("fish2021", videos=50, queue_bytes=128 << 20, staged=False)
    assert little.peak_bytes <= 128 << 20
    assert little.fill["i3d"] < 0.5
    assert simulate("fish2021", videos=50, staged=False).speed > 1.3 * little.speed


@pytest.mark.slow
def test_stages_hide_what_the_host_does_for_the_device() -> None:
    """Where half precision makes the device four times as fast, stacking takes a fifth of the time."""
    one_thread, stages = (simulate("fish2021", slower=0.25, videos=30, staged=s) for s in (False, True))
    assert stages.speed > 1.15 * one_thread.speed
    assert stages.busy["device"] >= 0.95


@pytest.mark.slow
def test_a_slow_host_lane_is_kept_busy_and_costs_the_device_no_room() -> None:
    report = simulate("sulun2024", videos=60, slower_host=4.0)
    assert report.busy["host"] >= 0.95
    assert report.fill["panns"] >= 0.95


@pytest.mark.parametrize("preset", PRESETS)
def test_a_room_that_is_smaller_than_an_item_ends_too(preset: str) -> None:
    report = simulate(preset, videos=2, queue_bytes=1)
    assert report.seconds > 0


def test_the_same_run_twice_is_the_same() -> None:
    assert simulate("sulun2024", videos=2) == simulate("sulun2024", videos=2)


@pytest.mark.parametrize("expert", [I3d(), R2plus1d()], ids=["i3d", "r2plus1d"])
def test_simulated_clips_are_those_of_the_experts(expert: I3d | R2plus1d) -> None:
    """A shot of one second and a half, of pictures small enough to be quick, but of the same aspect."""
    short = 256 if isinstance(expert, I3d) else 128
    image = np.zeros((short, short * WIDTH // HEIGHT, 3), np.uint8)
    tap = expert.tap(MediaInfo("a.mp4", 0, "mp4", 1.5, True, False))
    for number in range(36):
        list(tap.frame(Frame(image, number, number / 24, (number + 1) / 24)))
    found = list(tap.scene(Scene(0, 0, 36, 0.0, 1.5, 18, 0, 0.75, 0.8), None))
    simulated = list(stack_items(expert, 0.0, 1.5))
    assert [item.table or expert.name for item in found] == [i.table or expert.name for i in simulated]
    for real, made in zip(found, simulated, strict=True):
        assert {n: (a.shape, a.dtype) for n, a in real.arrays.items()} == {
            n: (a.shape, a.dtype) for n, a in made.arrays.items()
        }
