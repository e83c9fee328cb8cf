"""What a shot-boundary detector is: frames in, closed scenes out, in one pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from extract.media.picture import Picture

Interval = tuple[int, int]  # frames start <= i < end


class Predictor(Protocol):
    """A network that runs elsewhere and answers windows of thumbnails in order."""

    def submit(self, window: NDArray[np.uint8]) -> None:
        """Send one window, uint8 (100, 27, 48, 3)."""

    def poll(self, *, wait: bool) -> NDArray[np.float32] | None:
        """The next unread answer, float32 (50,), or None if there is none (yet).

        With ``wait`` it blocks until one is there, or returns None when nothing is outstanding.
        """


class Detector(ABC):
    """Streaming shot detection on frame indices.

    ``open_start`` is the first frame of the scene that is not closed yet, ``settled`` the first
    frame at which a boundary may still be found: the open scene ends at ``settled`` or later.
    Both only grow. They tell the reader which frames can still become a keyframe.
    """

    open_start: int = 0
    settled: int = 0

    @property
    def open_until(self) -> int:
        """Frames ``open_start <= i < open_until`` are of the one open scene, wherever it ends."""
        return self.settled

    @abstractmethod
    def push(self, picture: Picture) -> list[Interval]:
        """Take the next frame; return the scenes that are now closed."""

    def wait(self) -> list[Interval]:
        """Block for one outstanding answer of a network that runs elsewhere, if there is one."""
        return []

    @abstractmethod
    def finish(self) -> list[Interval]:
        """The video is over: return the remaining scenes."""
