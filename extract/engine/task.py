"""What the engine is asked: one video and the experts to run on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from extract.types import Failure

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class VideoTask:
    """One video and the experts to run on it.

    ``tables`` (by expert, then table name) are what was stored of their upstream, the shot detector's
    included; ``failed_upstream`` is how upstream experts failed on this video.
    """

    video_id: str
    path: bytes
    experts: tuple[str, ...]
    tables: Mapping[str, Mapping[str, pa.Table]] = field(default_factory=dict)
    failed_upstream: Mapping[str, Failure] = field(default_factory=dict)


class Tasks:
    """The caller's tasks. ``dry``: there was none when last asked, but more may come; ``over``: none will."""

    def __init__(self, tasks: Iterable[VideoTask | None]) -> None:
        self._tasks = iter(tasks)
        self.dry = self.over = False

    def take(self) -> VideoTask | None:
        self.dry = False
        if self.over:
            return None
        try:
            task = next(self._tasks)
        except StopIteration:
            self.over = True
            return None
        self.dry = task is None
        return task
