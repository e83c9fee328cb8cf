"""Stacks of scenes against the rules written out plainly, whatever the detector's look-ahead."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract.ops.motion.frame_grid import InnerStacks, SceneStacks, Stack, looped

Found = list[tuple[int, Stack[int]]]  # number of the scene, stack of frame indices


def run(
    starts: list[float],
    scenes: list[tuple[int, int]],
    *,
    fps: float = 25.0,
    length: int = 8,
    step: int = 8,
    look_ahead: int = 10**6,
    kind: type[SceneStacks[int]] = SceneStacks[int],
) -> tuple[Found, int]:
    """Stacks of scenes (frames first <= i < stop), and the most frames that were held.

    ``starts`` has one time more than there are frames: the end of the last. A scene closes
    ``look_ahead`` frames after its end, and the open one is settled up to as many frames back.
    """
    stacks = kind(fps=fps, length=length, step=step)
    found: Found = []
    most, closed = 0, 0
    for now in range(1, len(starts)):
        stacks.add(starts[now - 1], now - 1)
        most = max(most, len(stacks._frames))
        last = now == len(starts) - 1
        while closed < len(scenes) and (scenes[closed][1] + look_ahead <= now or last):
            first, stop = scenes[closed]
            found += [(closed, stack) for stack in stacks.close(starts[first], starts[stop])]
            closed += 1
        if closed < len(scenes):
            first, stop = scenes[closed]
            settled = min(max(now - look_ahead, 0), stop)
            open_start = min(first, now)
            moved = stacks.settle(starts[open_start], starts[max(settled, open_start)])
            found += [(closed, stack) for stack in moved]
    return found, most


def plain(starts: list[float], scene: tuple[int, int], fps: float, length: int, step: int) -> list[list[int]]:
    """The module's rules, on a list of all cells of one scene."""
    first, stop = scene
    cells: list[int] = []
    while starts[first] + (len(cells) + 0.3) / fps < starts[stop] or not cells:
        time = starts[first] + (len(cells) + 0.3) / fps
        cells.append(max(i for i in range(first, stop) if starts[i] <= time))
    if len(cells) <= length:
        return [cells]
    firsts = list(range(0, len(cells) - length + 1, step))
    if firsts[-1] + length < len(cells):
        firsts.append(len(cells) - length)
    return [cells[at : at + length] for at in firsts]


def regular(count: int, fps: float) -> list[float]:
    return [i / fps for i in range(count + 1)]


@st.composite
def videos(draw: st.DrawFn) -> tuple[list[float], list[tuple[int, int]]]:
    """Frame times (regular or not), and scenes with or without gaps between them."""
    gaps = draw(st.lists(st.sampled_from([0.001, 0.02, 0.033, 0.04, 0.04, 0.5]), min_size=1, max_size=120))
    starts = [0.0]
    for gap in gaps:
        starts.append(starts[-1] + gap)
    cuts = sorted(draw(st.sets(st.integers(0, len(gaps)), min_size=2, max_size=6)) | {0})
    kept = draw(st.lists(st.booleans(), min_size=len(cuts) - 1, max_size=len(cuts) - 1))
    return starts, [pair for pair, keep in zip(pairwise(cuts), kept, strict=True) if keep]


@given(
    video=videos(),
    length=st.integers(1, 12),
    share=st.floats(0.01, 1),
    look_ahead=st.sampled_from([0, 1, 5, 30, 200]),
)
def test_stacks_are_those_of_the_rules_whenever_scenes_close(
    video: tuple[list[float], list[tuple[int, int]]], length: int, share: float, look_ahead: int
) -> None:
    starts, scenes = video
    step = max(1, int(length * share))
    found, _ = run(starts, scenes, length=length, step=step, look_ahead=look_ahead)
    for number, scene in enumerate(scenes):
        stacks = [stack for place, stack in found if place == number]
        assert [list(s.frames) for s in stacks] == plain(starts, scene, 25.0, length, step)
        assert stacks[0].start_seconds == starts[scene[0]] and stacks[-1].end_seconds == starts[scene[1]]
        assert all(s.start_seconds < s.end_seconds for s in stacks)
        assert [s.following is None for s in stacks] == [False] * (len(stacks) - 1) + [True]
    assert [place for place, _ in found] == sorted(place for place, _ in found)
    assert found == run(starts, scenes, length=length, step=step)[0]


@given(
    video=videos(),
    length=st.integers(1, 12),
    share=st.floats(0.01, 1),
    look_ahead=st.sampled_from([0, 1, 5, 30, 200]),
)
def test_inner_stacks_are_those_of_scenes_without_their_first_and_last_frame(
    video: tuple[list[float], list[tuple[int, int]]], length: int, share: float, look_ahead: int
) -> None:
    starts, scenes = video
    step = max(1, int(length * share))
    kind = InnerStacks[int]
    found, _ = run(starts, scenes, length=length, step=step, look_ahead=look_ahead, kind=kind)
    for number, (first, stop) in enumerate(scenes):
        inner = (first + 1, stop - 1) if stop - first > 2 else (first, stop)
        stacks = [stack for place, stack in found if place == number]
        assert [list(s.frames) for s in stacks] == plain(starts, inner, 25.0, length, step)
        assert stacks[0].start_seconds == starts[inner[0]] and stacks[-1].end_seconds == starts[inner[1]]
        shown = {frame for s in stacks for frame in (*s.frames, s.following) if frame is not None}
        assert shown <= set(range(*inner))
    assert found == run(starts, scenes, length=length, step=step, kind=kind)[0]


@pytest.mark.parametrize(("kind", "last"), [(SceneStacks[int], 20_000), (InnerStacks[int], 19_999)])
def test_long_scenes_leave_early_and_little_is_held(kind: type[SceneStacks[int]], last: int) -> None:
    starts = regular(20_000, 25.0)
    found, most = run(starts, [(0, 20_000)], length=64, step=64, look_ahead=100, kind=kind)
    assert len(found) == 313 and found[-1][1].frames == tuple(range(last - 64, last))
    assert most <= 100 + 2 * 64 + 3


def test_a_stack_a_tail_and_a_short_scene() -> None:
    found, _ = run(regular(30, 25.0), [(0, 8), (8, 27), (27, 30)], length=8, step=8)
    assert [(place, stack.frames[0], stack.frames[-1], stack.following) for place, stack in found] == [
        (0, 0, 7, None),
        (1, 8, 15, 16),
        (1, 16, 23, 24),
        (1, 19, 26, None),  # moved back to end with its scene
        (2, 27, 29, None),
    ]
    seconds = [(stack.start_seconds, stack.end_seconds) for _, stack in found]
    assert seconds[1] == pytest.approx((0.32, 0.64)) and seconds[3] == pytest.approx((0.76, 1.08))
    assert found[-1][1].frames == (27, 28, 29)


@pytest.mark.parametrize(
    ("rate", "fps"), [(25, 25), (50, 25), (75, 25), (100, 25), (30, 30), (60, 30), (120, 30)]
)
def test_timestamps_in_milliseconds_neither_repeat_nor_skip_frames(rate: int, fps: int) -> None:
    """As Matroska stores them; the first scene begins anywhere."""
    starts = [round(i / rate, 3) for i in range(40 * rate // fps + 1)]
    for first in range(7):
        ((_, stack),), _ = run(starts, [(first, len(starts) - 1)], fps=fps, length=100, step=100)
        assert set(np.diff(stack.frames).tolist()) == {rate // fps}


def test_every_scene_has_a_cell() -> None:
    found, _ = run(regular(3, 1000.0), [(0, 1), (1, 2), (2, 3)])
    assert [stack.frames for _, stack in found] == [(0,), (1,), (2,)]


def test_repeating_a_short_clip() -> None:
    clip = np.arange(6).reshape(3, 2)
    np.testing.assert_array_equal(looped(clip, 7)[:, 0], [0, 2, 4, 0, 2, 4, 0])
    assert looped(clip, 3) is clip
