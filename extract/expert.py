"""What an expert is: one file in ``extract/experts``, one subclass of :class:`Expert`.

An expert has two halves. The *tap* runs beside the decoder, without torch: it sees the streams it
asked for and cuts them into items. The *model* runs where the accelerator is: it turns batches
of items, which may come from many videos, into rows. An expert without a model (``lane`` is
``"none"``) computes its rows in the tap.
"""

from __future__ import annotations

import importlib.util
from abc import ABC
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from extract.errors import MissingDependency
from extract.types import AudioBlock, Downmix, Frame, Item, MediaInfo, Precision, Row, Scene, Sound

if TYPE_CHECKING:
    import pyarrow as pa

    from extract.weights.files import WeightFile

Lane = Literal["device", "host", "none"]
ColumnType = Literal["string", "bool", "int32", "int64", "float32", "float64", "list<float32>"]


@dataclass(frozen=True)
class Column:
    """One column of a table beside ``video_id, row, start_seconds, end_seconds``."""

    name: str
    type: ColumnType
    meaning: str


@dataclass(frozen=True)
class Embedding:
    """The vector column ``embedding``: ``shape`` flattened in C order.

    ``float32`` keeps single precision whatever ``--dtype`` says (descriptors that need the range);
    ``nan`` allows NaN for a value that could not be measured.
    """

    shape: tuple[int, ...]
    float32: bool = False
    nan: bool = False


@dataclass(frozen=True)
class TableSpec:
    columns: tuple[Column, ...] = ()
    embedding: Embedding | None = None


@dataclass(frozen=True)
class FrameSpec:
    """Every frame, upright, scaled to this short side (None: not at all), RGB or grey.

    ``enlarge``: smaller frames too, for values that are counted in pixels of that size.
    """

    short_side: int | None
    grey: bool = False
    enlarge: bool = False


@dataclass(frozen=True)
class Streams:
    """What a tap consumes; only this is converted and copied.

    ``sample_seconds``: beside keyframes, further native frames, so that no stretch of a scene as long as
    that stays unseen (:mod:`extract.decoder.samples`). ``audio_downmix`` is ``ffmpeg`` for experts
    whose published front end loads sound with FFmpeg (docs/experts.md).
    """

    keyframes: bool = False
    sample_seconds: float | None = None
    audio_rate: int | None = None
    audio_downmix: Downmix = "mean"
    frames: FrameSpec | None = None

    @property
    def sound(self) -> Sound | None:
        """The sound that the tap hears."""
        return None if self.audio_rate is None else Sound(self.audio_rate, self.audio_downmix)


@dataclass(frozen=True)
class Package:
    """An importable module that an expert needs, and the extra of this project that brings it."""

    module: str
    extra: str


class Tap:
    """The decoder-side half for one video. Called in time order; every hook may return items.

    ``scene`` comes some frames after the scene's last frame: a detector needs to look ahead.
    ``keyframe`` is None for experts that did not ask for keyframes.
    """

    def frame(self, frame: Frame) -> Iterable[Item]:
        return ()

    def audio(self, block: AudioBlock) -> Iterable[Item]:
        return ()

    def scene(self, scene: Scene, keyframe: Frame | None) -> Iterable[Item]:
        return ()

    def settled(self, open_start_seconds: float, settled_seconds: float) -> Iterable[Item]:
        """After every frame: where the shot detector stands.

        The open scene starts at ``open_start_seconds`` (no frame before that is of a later scene) and
        what lies from there to ``settled_seconds`` is of this one scene, wherever it ends. So a
        tap can work on a long scene before it is over, and need not hold all of it.
        """
        return ()

    def sample(self, scene_index: int, frame: Frame) -> Iterable[Item]:
        """A further frame of a scene, which may still be open. Samples come in time order.

        So does the keyframe among them, except in scenes so long that samples went ahead of it
        (:mod:`extract.decoder.samples`): there, all come before it.
        """
        return ()

    def close(self) -> Iterable[Item]:
        """The end of the video (all scenes and audio have been seen)."""
        return ()


class Model(Protocol):
    """The accelerator-side half: one list of rows for each item, in the order of the items.

    An item's rows must not depend on the other items of the batch, to the last bit on the CPU:
    use :func:`extract.ops.network.batching.fixed_batches`.
    """

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]: ...


class PassThrough:
    """The model of an expert whose tap already made the rows."""

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        return [[item.row(**item.arrays)] for item in items]


@dataclass
class Resources:
    """What a model is loaded with.

    ``batch_size`` is how many items may be on the device at once. It is halved while the model works if
    the device's memory runs short: read it for every batch, keep no copy. ``weights`` maps
    :attr:`WeightFile.role` to a verified local path. With ``random_seed`` set there are no files:
    the network is built with weights drawn from that seed.
    """

    device: str = "cpu"
    precision: Precision = "float32"
    batch_size: int = 64
    weights: Mapping[str, Path] = field(default_factory=dict)
    random_seed: int | None = None


@dataclass(frozen=True)
class NoOptions:
    """For experts that have nothing to choose."""


class Expert(ABC):
    """Base of all experts; see ``CONTRIBUTING.md`` for how to add one.

    Raise ``version`` whenever the same options would give other values than before.
    """

    summary: ClassVar[str]
    Options: ClassVar[type[Any]] = NoOptions
    version: ClassVar[int] = 1
    lane: ClassVar[Lane] = "device"
    upstream: ClassVar[tuple[str, ...]] = ()
    packages: ClassVar[tuple[Package, ...]] = ()
    empty_reason: ClassVar[str] = "nothing found"

    def __init__(self, options: Any = None) -> None:
        self.options = self.Options() if options is None else options

    @property
    def name(self) -> str:
        return type(self).__module__.rpartition(".")[2]

    def tables(self) -> Mapping[str, TableSpec]:
        """The tables that this expert fills, by name; usually one, named like the expert."""
        raise NotImplementedError

    def streams(self) -> Streams:
        """What the tap needs of the decoder; nothing for experts that read stored tables."""
        return Streams()

    def weights(self) -> tuple[WeightFile, ...]:
        """The published files that :meth:`load` reads, with these options."""
        return ()

    @property
    def reads_media(self) -> bool:
        """Whether this expert hangs on the decoder (and not on stored tables)."""
        return self.follows_scenes or self.streams().audio_rate is not None

    @property
    def follows_scenes(self) -> bool:
        return self.name == "scenes" or "scenes" in self.upstream

    def missing_stream(self, media: MediaInfo) -> str | None:
        """Why this file has nothing for this expert, or None if it has."""
        if (self.follows_scenes and media.has_video) or (self.streams().audio_rate and media.has_audio):
            return None
        return "no video stream" if self.follows_scenes else "no audio stream"

    def unreadable_stream(self, media: MediaInfo) -> str | None:
        """Why the stream that this expert reads is in the file and cannot be read, or None."""
        if self.follows_scenes and (media.unreadable_video or media.has_video):
            return media.unreadable_video
        return media.unreadable_audio if self.streams().audio_rate else None

    def tap(self, media: MediaInfo) -> Tap:
        return Tap()

    def read_tables(self, tables: Mapping[str, pa.Table]) -> Iterator[Item]:
        """Items from the upstream experts' tables of one video (text experts)."""
        return iter(())

    def load(self, resources: Resources) -> Model:
        return PassThrough()

    def settings(self) -> dict[str, Any]:
        """All that determines this expert's values beside weights and upstream; JSON-ready."""
        return {"version": self.version, **asdict(self.options)}

    def check_installed(self) -> None:
        """Raises MissingDependency with the command that mends it."""
        missing = [p for p in self.packages if importlib.util.find_spec(p.module) is None]
        if missing:
            modules = ", ".join(p.module for p in missing)
            extras = ",".join(sorted({p.extra for p in missing}))
            raise MissingDependency(
                f"expert {self.name!r} needs {modules}, not installed here: pip install 'marquee[{extras}]'"
            )
