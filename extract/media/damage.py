"""Pictures that the decoder itself calls damaged are replaced by the last good one.

What a decoder conceals damage with is left to chance: what it finds in a recycled buffer, on however many
threads. A picture that shows another film's pieces makes scenes and features of nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import av


class Shown(NamedTuple):
    """A decoded frame, which tells the time, and the one to be looked at in its place."""

    frame: av.VideoFrame
    pixels: av.VideoFrame


class LastGood:
    """Frames in presentation order, each with the pixels to be shown.

    Damaged is what the decoder flags (``AV_FRAME_FLAG_CORRUPT``, ``decode_error_flags``). Pictures that
    refer to a damaged one and are not flagged themselves are shown as they are. So is a damaged
    one before which there is no good one.
    """

    def __init__(self) -> None:
        self._good: av.VideoFrame | None = None
        self.replaced = 0

    def push(self, frame: av.VideoFrame) -> Shown:
        if not frame.is_corrupt:
            self._good = frame
            return Shown(frame, frame)
        self.replaced += 1
        return Shown(frame, self._good or frame)
