"""The frame in the middle of each scene, in one pass: a bounded buffer of undecided frames.

A scene ends at or after the detector's ``settled`` frame, so its middle lies at or after the
middle between the scene's start and ``settled``: frames before that are let go. When the buffer is
full, newer frames are refused rather than older ones dropped: if C is the time the buffer holds, a
scene of up to 4 C keeps its middle that way, against 2 C the other way round. What a longer scene
loses is fetched with a seek (:mod:`extract.media.seek`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque

from extract.media.picture import Picture
from extract.types import Scene


class Timeline:
    """Timestamps of the frames from the open scene's first one on: 16 bytes a frame."""

    def __init__(self) -> None:
        self.first = 0
        self._pts = array("q")
        self._start = array("d")
        self._last_end = 0.0

    def add(self, picture: Picture) -> None:
        self._pts.append(picture.pts)
        self._start.append(picture.start_seconds)
        self._last_end = picture.end_seconds

    @property
    def stop(self) -> int:
        return self.first + len(self._start)

    def start_seconds(self, index: int) -> float:
        """Start of frame ``index``; for ``index == stop`` the end of the last frame."""
        return self._last_end if index == self.stop else self._start[index - self.first]

    def pts(self, index: int) -> int:
        return self._pts[index - self.first]

    def on_screen(self, seconds: float) -> int:
        """Index of the frame on screen at this time: the last one that has started."""
        return self.first + max(0, bisect_right(self._start, seconds) - 1)

    def forget_before(self, index: int) -> None:
        gone = min(index, self.stop) - self.first
        if gone > 256:  # deleting from the front costs a copy of the rest
            del self._pts[:gone], self._start[:gone]
            self.first += gone

    def scene(self, number: int, start_frame: int, end_frame: int) -> Scene:
        """The scene of frames ``start_frame <= i < end_frame`` with the frame at its middle time."""
        start, end = self.start_seconds(start_frame), self.start_seconds(end_frame)
        middle = self.on_screen((start + end) / 2)
        # Where timestamps stand still, the frame on screen at the middle may lie outside the scene.
        keyframe = min(max(middle, start_frame), end_frame - 1)
        return Scene(
            index=number,
            start_frame=start_frame,
            end_frame=end_frame,
            start_seconds=start,
            end_seconds=end,
            keyframe=keyframe,
            keyframe_pts=self.pts(keyframe),
            keyframe_start_seconds=self.start_seconds(keyframe),
            keyframe_end_seconds=self.start_seconds(keyframe + 1),
        )


class KeyframeBuffer:
    """Decoded, unconverted frames that may still turn out to be the middle of a scene."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.bytes = 0
        self._pictures: deque[Picture] = deque()

    @property
    def full(self) -> bool:
        return self.bytes >= self.limit_bytes

    def add(self, picture: Picture) -> None:
        """Keep this frame if there is room."""
        if not self.full:
            self._pictures.append(picture)
            self.bytes += picture.size_bytes

    def forget_until(self, seconds: float) -> None:
        """Let go of frames that are off screen at ``seconds``, the earliest possible middle."""
        while self._pictures and self._pictures[0].end_seconds <= seconds:
            self.bytes -= self._pictures.popleft().size_bytes

    def find(self, index: int) -> Picture | None:
        return next((p for p in self._pictures if p.index == index), None)
