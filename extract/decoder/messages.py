"""What a decoder process and its owner say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.types import Item, MediaInfo, Scene


@dataclass(frozen=True)
class DecodeJob:
    """One video for a decoder process.

    ``experts`` maps names to plain option values. ``shot_service`` is the expert that detects shots,
    None if no expert follows them; with ``scenes`` given (they were stored before) nothing is
    detected. ``buffer_bytes`` bounds the undecided frames that are held. ``gpu`` is the number of the one
    that decodes pictures, None for the CPU.
    """

    path: bytes
    experts: Mapping[str, Mapping[str, Any]]
    shot_service: str | None = None
    shot_options: Mapping[str, Any] = field(default_factory=dict)
    scenes: tuple[Scene, ...] | None = None
    buffer_bytes: int = 512 << 20
    threads: int = 1
    gpu: int | None = None


@dataclass(frozen=True)
class MediaOpened:
    media: MediaInfo


@dataclass(frozen=True)
class ShotWindow:
    """Thumbnails for the shot network, uint8 (100, 27, 48, 3); answered by :class:`WindowAnswer`."""

    thumbnails: NDArray[np.uint8]


@dataclass(frozen=True)
class WindowAnswer:
    """The shot network's answer, float32 (50,), or the error that it met."""

    values: NDArray[np.float32] | None
    error: str = ""


@dataclass(frozen=True)
class ItemReady:
    """An item for the expert's model."""

    expert: str
    item: Item


@dataclass(frozen=True)
class ExpertFailed:
    """One expert's tap failed; the others go on."""

    expert: str
    stage: str
    error_type: str
    message: str


@dataclass(frozen=True)
class Progress:
    """A sign of life, about once a second, with the seconds of work since the last one."""

    busy_seconds: float


@dataclass(frozen=True)
class Finished:
    """The video is over.

    ``facts`` is what decoding it has shown, as columns of the ``videos`` table; ``pictures_decoded``
    counts every picture as often as it was decoded, of the ``pictures`` of the file (None where
    neither this pass nor the stored scenes tell).
    """

    facts: Mapping[str, Any]
    pictures_decoded: int
    pictures: int | None
    busy_seconds: float


@dataclass(frozen=True)
class VideoFailed:
    stage: str
    error_type: str
    message: str


Message = MediaOpened | ShotWindow | ItemReady | ExpertFailed | Progress | Finished | VideoFailed
