"""What the engine is asked: one video and the experts to run on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from extract.types import Failure, Scene

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class VideoTask:
    """One video and the experts to run on it.

    ``scenes`` and ``tables`` (by expert, then table name) are what was stored of their upstream,
    ``failed_upstream`` how upstream experts failed on this video.
    """

    video_id: str
    path: bytes
    experts: tuple[str, ...]
    scenes: tuple[Scene, ...] | None = None
    tables: Mapping[str, Mapping[str, pa.Table]] = field(default_factory=dict)
    failed_upstream: Mapping[str, Failure] = field(default_factory=dict)
