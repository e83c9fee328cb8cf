"""The small frozen records that travel between media, experts and tables.

Every record carries its own time axis: seconds on the container's presentation clock (PTS),
intervals half-open, ``start_seconds <= t < end_seconds``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

State = Literal["ok", "absent", "failed"]
Downmix = Literal["mean", "ffmpeg"]
ColumnType = Literal[
    "string", "binary", "bool", "int32", "int64", "float32", "float64", "list<float32>", "list<string>"
]  # fmt: skip
Row = dict[str, Any]


def _check_interval(start_seconds: float, end_seconds: float) -> None:
    if not start_seconds <= end_seconds:
        raise ValueError(f"an interval must not end before it starts: {start_seconds = }, {end_seconds = }")


@dataclass(frozen=True)
class Column:
    """One column of a table beside those that say which video and when."""

    name: str
    type: ColumnType
    meaning: str


@dataclass(frozen=True)
class MediaInfo:
    """What a container says of itself before anything is decoded (so durations may lie).

    ``width`` and ``height`` are those of the upright picture with square pixels, that is after
    rotation and sample aspect ratio; ``stored_width`` and ``stored_height`` are the coded ones. The
    stored picture is turned upside down first if ``flipped`` (top to bottom, as in a mirror), then
    ``rotation_degrees`` clockwise. ``unreadable_video`` and ``unreadable_audio`` say why a stream that
    the file has cannot be read; ``has_video`` and ``has_audio`` are about streams that can.
    """

    path: str
    size_bytes: int
    container: str
    header_duration_seconds: float | None
    has_video: bool
    has_audio: bool
    width: int | None = None
    height: int | None = None
    stored_width: int | None = None
    stored_height: int | None = None
    rotation_degrees: int = 0
    flipped: bool = False
    sample_aspect_ratio: float = 1.0
    fps: float | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    sample_rate: int | None = None
    audio_tracks: int = 0
    unreadable_video: str | None = None
    unreadable_audio: str | None = None


# What is measured of every video, whatever experts run: the columns of the store's ``videos`` table. A new
# one is a line here and what measures it: a field of the same name in MediaInfo where headers say it, else a
# value in the decoder's reader. docs/store.md lists them too.
FACTS = (
    Column("container", "string", "FFmpeg's name of the format"),
    Column("header_duration_seconds", "float64", "the duration claimed by the header"),
    Column("duration_seconds", "float64", "from the first picture to the end of the last, or of the sound"),
    Column("fps", "float64", "average frames per second according to the header"),
    Column("width", "int32", "of the upright picture with square pixels"),
    Column("height", "int32", "of the upright picture"),
    Column("stored_width", "int32", "as coded"),
    Column("stored_height", "int32", "as coded"),
    Column("rotation_degrees", "int32", "clockwise turn of the stored picture: 0, 90, 180 or 270"),
    Column("flipped", "bool", "whether it was mirrored top to bottom before that"),
    Column("sample_aspect_ratio", "float64", "width of a stored pixel divided by its height"),
    Column("video_codec", "string", "FFmpeg's name"),
    Column("audio_codec", "string", "FFmpeg's name"),
    Column("sample_rate", "int32", "of the sound, in Hz"),
    Column("audio_tracks", "int32", "number of audio tracks; one is read"),
    Column("has_video", "bool", "whether there are pictures that can be read"),
    Column("has_audio", "bool", "whether there is sound that can be read"),
    Column("frames", "int64", "frames decoded"),
    Column("decode_errors", "int32", "damaged packets and pictures"),
    Column("partial", "bool", "whether something of the file was lost"),
    Column("note", "string", "what is wrong with the file, in words"),
)
FACTS_OF_HEADERS = tuple(fact.name for fact in FACTS if fact.name in MediaInfo.__dataclass_fields__)


@dataclass(frozen=True)
class Frame:
    """One decoded picture: ``image`` is uint8, (height, width, 3) RGB or (height, width) grey."""

    image: NDArray[np.uint8]
    index: int
    start_seconds: float
    end_seconds: float

    def __post_init__(self) -> None:
        _check_interval(self.start_seconds, self.end_seconds)
        if self.image.dtype != np.uint8 or self.image.ndim not in (2, 3):
            raise ValueError(
                f"a frame is uint8 (H, W) or (H, W, 3): {self.image.dtype = }, {self.image.shape = }"
            )


class Sound(NamedTuple):
    """What an expert wants to hear: mono at this rate, mixed from the channels in this way.

    ``mean`` is the plain mean of all channels; ``ffmpeg`` is what ``ffmpeg -ac 1`` gives, for experts whose
    published front end loads sound with FFmpeg: the two differ from three channels on.
    """

    sample_rate: int
    downmix: Downmix = "mean"


@dataclass(frozen=True)
class AudioBlock:
    """Consecutive mono samples: float32 (samples,), full scale 1, the first one at ``start_seconds``."""

    samples: NDArray[np.float32]
    sample_rate: int
    start_seconds: float
    downmix: Downmix = "mean"

    def __post_init__(self) -> None:
        if self.samples.dtype != np.float32 or self.samples.ndim != 1:
            raise ValueError(f"audio is float32 (samples,): {self.samples.dtype = }, {self.samples.shape = }")

    @property
    def end_seconds(self) -> float:
        return self.start_seconds + len(self.samples) / self.sample_rate


@dataclass(frozen=True)
class Scene:
    """One shot: frames ``start_frame <= i < end_frame`` and the frame on screen at its middle.

    ``keyframe_pts`` is the exact container timestamp of that frame, so that it can be found again.
    """

    index: int
    start_frame: int
    end_frame: int
    start_seconds: float
    end_seconds: float
    keyframe: int
    keyframe_pts: int
    keyframe_start_seconds: float
    keyframe_end_seconds: float

    def __post_init__(self) -> None:
        _check_interval(self.start_seconds, self.end_seconds)
        if not self.start_frame <= self.keyframe < self.end_frame:
            raise ValueError(f"a keyframe lies inside its scene: {self}")


@dataclass(frozen=True)
class Item:
    """One unit of work for an expert's model, made beside the decoder.

    ``arrays`` are what the model reads (they cross a process boundary: keep them small and
    contiguous), ``columns`` go to the item's rows as they are, ``table`` names the table that the
    rows belong to (default: the expert's own name).
    """

    start_seconds: float
    end_seconds: float
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    table: str | None = None

    def __post_init__(self) -> None:
        _check_interval(self.start_seconds, self.end_seconds)

    def row(self, **columns: Any) -> Row:
        """A table row on this item's interval: the item's columns and the given ones."""
        return {
            "start_seconds": self.start_seconds,
            "end_seconds": self.end_seconds,
            **self.columns,
            **columns,
        }


@dataclass(frozen=True)
class Failure:
    stage: str
    error_type: str
    message: str


@dataclass(frozen=True)
class Outcome:
    """How one expert ended on one video; ``rows`` by table, ``reason`` unless the state is ok."""

    state: State
    rows: Mapping[str, int]
    reason: str = ""
    failure: Failure | None = None
