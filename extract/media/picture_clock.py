"""Decoded frames to pictures with a start and an end."""

from __future__ import annotations

import math
from collections.abc import Iterator

import av
from av.video.stream import VideoStream

from extract.errors import MediaError
from extract.media.damage import Shown
from extract.media.picture import Picture, View
from extract.types import MediaInfo

STEP_SECONDS = 1e-6  # between pictures whose timestamps do not rise
DEFAULT_FPS = 25.0  # for the length of a last picture, where nothing says it


class PictureClock:
    """Pictures whose seconds never go back, one frame late, from frames in presentation order.

    A picture starts at its PTS (else DTS, else one frame after the last) and ends where the next one
    starts; the last one lasts its own duration, or one frame. A PTS that does not rise is moved to a
    microsecond after the last picture's.
    """

    def __init__(self, stream: VideoStream, media: MediaInfo, *, first_index: int = 0) -> None:
        if stream.time_base is None:
            raise MediaError(f"{media.path!r}: its video has no time base; re-encode it")
        self._time_base = stream.time_base
        self._frame_seconds = 1 / (media.fps or DEFAULT_FPS)
        self._view = View(media)
        self._waiting: tuple[Shown, int, float] | None = None
        self.next_index = first_index

    def push(self, shown: Shown, shift_seconds: float | None = 0.0) -> Iterator[Picture]:
        """The picture before this frame, if there is one; a shift of None says that its time is damaged."""
        pts = self._pts(shown.frame)
        start_seconds = self._start_seconds(pts, shift_seconds)
        yield from self._complete(start_seconds)
        self._waiting = (shown, pts, start_seconds)

    def finish(self, latest_seconds: float = math.inf) -> Iterator[Picture]:
        """The last picture, which does not last beyond ``latest_seconds`` on the word of its own duration."""
        if self._waiting is not None:
            shown, _, start_seconds = self._waiting
            lasts_seconds = (shown.frame.duration or 0) * float(self._time_base)
            if not 0 < lasts_seconds <= latest_seconds - start_seconds:
                lasts_seconds = self._frame_seconds
            yield from self._complete(start_seconds + lasts_seconds)

    def _complete(self, end_seconds: float) -> Iterator[Picture]:
        if self._waiting is not None:
            shown, pts, start_seconds = self._waiting
            self._waiting = None
            self.next_index += 1
            yield Picture(shown.pixels, self._view, self.next_index - 1, pts, start_seconds, end_seconds)

    def _pts(self, frame: av.VideoFrame) -> int:
        for pts in (frame.pts, frame.dts):
            if pts is not None:
                return pts
        step = max(1, round(self._frame_seconds / float(self._time_base)))
        return 0 if self._waiting is None else self._waiting[1] + step

    def _start_seconds(self, pts: int, shift_seconds: float | None) -> float:
        seconds = pts * self._time_base.numerator / self._time_base.denominator + (shift_seconds or 0.0)
        if self._waiting is None:
            return seconds
        last_seconds = self._waiting[2]
        if shift_seconds is None:
            return last_seconds + self._frame_seconds
        return seconds if seconds > last_seconds else last_seconds + STEP_SECONDS
