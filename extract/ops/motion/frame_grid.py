"""Clips of scenes for video networks: frames on a regular grid of time, cut into stacks of one length.

The grid of a scene begins with the scene, as if the shot were a file of its own: cell k lasts from
``k / fps`` to ``(k + 1) / fps`` after its start and shows what is on screen at ``(k + 0.3) / fps``.
A scene has as many cells as such times, and at least one.

Stacks of ``length`` cells start at every ``step``-th cell. Nothing is dropped: if the last of them
does not reach the scene's end, one more is moved back to end there, and a scene with fewer cells
than ``length`` gives one stack of all it has, which the model repeats from its beginning (:func:`looped`).
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

# Where in its cell a frame is sampled. At 0.3 no time falls on the edge of a frame if the file's rate is
# 1 to 4 times the grid's, so timestamps rounded to milliseconds neither repeat nor skip frames there.
SAMPLE_POINT = 0.3

T = TypeVar("T")


@dataclass(frozen=True)
class Stack(Generic[T]):
    """``length`` cells of one scene, or all of a shorter one.

    ``frames`` are what the cells show, ``following`` what the cell after them shows, None at the
    scene's end.
    """

    start_seconds: float
    end_seconds: float
    frames: tuple[T, ...]
    following: T | None


class SceneStacks(Generic[T]):
    """Stacks of scenes whose ends are found later than their frames are seen.

    ``add`` every frame of the video, ``settle`` as the shot detector advances, ``close`` every
    scene. Stacks leave as soon as the scene is known to go on after them, so what is held is one
    stack and the detector's look-ahead, however long a scene is. When they leave changes nothing
    in them.
    """

    def __init__(self, *, fps: float, length: int, step: int) -> None:
        self._fps, self._length, self._step = fps, length, step
        self._starts = array("d")  # of the frames that are held
        self._frames: list[T] = []
        self._scene_start = -math.inf
        self._next = 0  # first cell of the open scene's next stack

    def add(self, start_seconds: float, frame: T) -> None:
        self._starts.append(start_seconds)
        self._frames.append(frame)

    def settle(self, open_start_seconds: float, settled_seconds: float) -> Iterator[Stack[T]]:
        """The open scene started then and lasts at least until ``settled_seconds``."""
        self._open(open_start_seconds)
        while self._sample_time(self._next + self._length) < settled_seconds:
            yield self._stack(self._next, self._next + self._length, math.inf)
            self._next += self._step
        # The next stack, or the one that is moved back from the earliest possible end.
        last_start = settled_seconds - (self._length + 1) / self._fps
        self._forget(min(self._sample_time(self._next), max(last_start, open_start_seconds)))

    def close(self, start_seconds: float, end_seconds: float) -> Iterator[Stack[T]]:
        """The rest of a scene that is over now."""
        self._open(start_seconds)
        cells = self._cells(end_seconds)
        while self._next + self._length <= cells:
            yield self._stack(self._next, self._next + self._length, end_seconds)
            self._next += self._step
        covered = self._next - self._step + self._length if self._next else 0
        if covered < cells:
            yield self._stack(max(0, cells - self._length), cells, end_seconds)
        self._open(end_seconds)
        self._drop(bisect_left(self._starts, end_seconds))

    def _open(self, start_seconds: float) -> None:
        if start_seconds != self._scene_start:
            self._scene_start, self._next = start_seconds, 0

    def _cells(self, end_seconds: float) -> int:
        """How many cells are sampled before the scene's end, by the very comparison of ``settle``."""
        cells = max(0, math.ceil((end_seconds - self._scene_start) * self._fps - SAMPLE_POINT) - 1)
        while self._sample_time(cells) < end_seconds:
            cells += 1
        return max(1, cells)

    def _sample_time(self, cell: int) -> float:
        return self._scene_start + (cell + SAMPLE_POINT) / self._fps

    def _stack(self, first: int, stop: int, scene_end_seconds: float) -> Stack[T]:
        in_scene = bisect_left(self._starts, scene_end_seconds)

        def frame(cell: int) -> T:
            return self._frames[min(bisect_right(self._starts, self._sample_time(cell)), in_scene) - 1]

        goes_on = scene_end_seconds == math.inf or stop < self._cells(scene_end_seconds)
        return Stack(
            start_seconds=self._scene_start + first / self._fps,
            end_seconds=self._scene_start + stop / self._fps if goes_on else scene_end_seconds,
            frames=tuple(frame(cell) for cell in range(first, stop)),
            following=frame(stop) if goes_on else None,
        )

    def _forget(self, seconds: float) -> None:
        """Let go of frames that are off screen then."""
        self._drop(bisect_right(self._starts, seconds) - 1)

    def _drop(self, count: int) -> None:
        if count > 0:
            del self._starts[:count], self._frames[:count]


class InnerStacks(SceneStacks[T]):
    """Stacks of scenes without their first and their last frame; a scene of fewer than three is whole.

    A cut that was found a frame too early or too late shows another scene's picture there: Fish et al. 2021
    leave them out (section 4.1). The grid begins with the second frame and ends before the last one.
    """

    def __init__(self, *, fps: float, length: int, step: int) -> None:
        super().__init__(fps=fps, length=length, step=step)
        self._inner = (-math.inf, -math.inf)  # when the open scene and its second frame begin

    def settle(self, open_start_seconds: float, settled_seconds: float) -> Iterator[Stack[T]]:
        second, last = self._second(open_start_seconds), self._last(settled_seconds)
        if second < last:
            yield from super().settle(second, last)

    def close(self, start_seconds: float, end_seconds: float) -> Iterator[Stack[T]]:
        second, last = self._second(start_seconds), self._last(end_seconds)
        inner = (second, last) if second < last else (start_seconds, end_seconds)
        yield from super().close(*inner)

    def _second(self, start_seconds: float) -> float:
        """When the scene's second frame begins; infinity if it has not been seen yet."""
        if self._inner[0] != start_seconds:
            place = bisect_right(self._starts, start_seconds)
            if place == len(self._starts):
                return math.inf
            self._inner = (start_seconds, self._starts[place])
        return self._inner[1]

    def _last(self, end_seconds: float) -> float:
        """When the last frame begins that begins before ``end_seconds``."""
        place = bisect_left(self._starts, end_seconds)
        return self._starts[place - 1] if place else -math.inf


def looped(clip: NDArray[np.generic], length: int) -> NDArray[np.generic]:
    """The first axis repeated from its beginning up to ``length``; longer clips are not changed."""
    if len(clip) >= length:
        return clip
    return clip[np.arange(length) % len(clip)]
