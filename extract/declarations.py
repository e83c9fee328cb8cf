"""What an expert is, and how it says what it needs: one file, one subclass of :class:`Expert`.

Expert files import all of this from :mod:`extract.expert`.

An expert has two halves. The *tap* runs beside the decoder, without torch: it sees the streams it
asked for and cuts them into items. The *model* runs where the accelerator is: it turns batches
of items, which may come from many videos, into rows. An expert without a model (``lane`` is
``"none"``) computes its rows in the tap.
"""

from __future__ import annotations

import importlib.util
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from extract.errors import ExpertError, MissingDependency, to_install
from extract.options import Precision
from extract.types import AudioBlock, Column, Downmix, Frame, Item, MediaInfo, Row, Scene, Sound

if TYPE_CHECKING:
    import pyarrow as pa

    from extract.weights.files import WeightFile

MediaStream = Literal["video", "audio"]
Lane = Literal["device", "host", "none"]


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

    def __post_init__(self) -> None:
        if self.short_side is not None and self.short_side < 1:
            raise ValueError(f"short_side is {self.short_side}; allowed: 1 pixel or more, or None")
        if self.enlarge and self.short_side is None:
            raise ValueError("enlarge needs a size: add a short_side to its FrameSpec, or leave enlarge out")


@dataclass(frozen=True)
class Streams:
    """What a tap consumes; only this is converted and copied.

    ``sample_seconds``: beside keyframes, further native frames, so that no stretch of a scene as long as
    that stays unseen (:mod:`extract.decoder.samples`). ``audio_rate`` is in Hz.
    ``audio_downmix`` is ``ffmpeg`` for experts whose published front end loads sound with FFmpeg
    (docs/experts.md).
    """

    keyframes: bool = False
    sample_seconds: float | None = None
    audio_rate: int | None = None
    audio_downmix: Downmix = "mean"
    frames: FrameSpec | None = None

    def __post_init__(self) -> None:
        if self.sample_seconds is not None and not self.keyframes:
            raise ValueError("samples need keyframes: add keyframes=True to its Streams")
        if self.sample_seconds is not None and not 0 < self.sample_seconds < math.inf:
            raise ValueError(f"sample_seconds is {self.sample_seconds}; allowed: above 0, or None")
        if self.audio_rate is not None and self.audio_rate < 1:
            raise ValueError(f"audio_rate is {self.audio_rate}; allowed: 1 Hz or more, or None")

    @property
    def pictures(self) -> bool:
        return self.keyframes or self.frames is not None

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


class TwoStepModel(ABC):
    """A model whose first step wants the host's cores and few items, and whose second the device and many.

    Its expert is of the lane ``host``; the engine runs the second step in the device's lane, in batches that
    cross videos.
    """

    @abstractmethod
    def first(self, items: Sequence[Item]) -> list[Any]:
        """What the second step needs of each item, :attr:`Expert.host_batch` of them or fewer."""

    @abstractmethod
    def second(self, items: Sequence[Item], found: Sequence[Any]) -> list[list[Row]]:
        """The rows of each item, of what :meth:`first` found in it."""

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        return self.second(items, self.first(items))


class PassThrough:
    """The model of an expert whose tap already made the rows."""

    def __call__(self, items: Sequence[Item], /) -> list[list[Row]]:
        return [[item.row(**item.arrays)] for item in items]


@dataclass
class Resources:
    """What a model is loaded with.

    ``batch_size`` is how many items may be on the device at once. It is halved while the model works if
    the device's memory runs short: read it for every batch, keep no copy. A network that takes fewer reads
    :meth:`at_most`. ``weights`` maps
    :attr:`WeightFile.role` to a verified local path. With ``random_seed`` set there are no files:
    the network is built with weights drawn from that seed.
    """

    device: str = "cpu"
    precision: Precision = "float32"
    batch_size: int = 64
    weights: Mapping[str, Path] = field(default_factory=dict)
    random_seed: int | None = None

    def at_most(self, most: int) -> int:
        """The batch size, from now on no more than ``most``: the next halving starts from what is in use."""
        self.batch_size = min(self.batch_size, most)
        return self.batch_size


@dataclass(frozen=True)
class Tolerance:
    """How far a network's rows may lie from those in float32, by the precision that it runs in.

    Limits of the relative error of a row's vector in its Euclidean norm (docs/experts.md, Half precision).
    """

    bfloat16: float
    float16: float


@dataclass(frozen=True)
class NoOptions:
    """For experts that have nothing to choose."""


class Expert(ABC):
    """Base of all experts; see ``CONTRIBUTING.md`` for how to add one.

    Raise ``version`` whenever the same options would give other values than before. ``upstream`` names
    the experts that this one reads from: the shot detector for an expert of pictures, whose tap then
    gets its scenes, or those whose stored tables :meth:`read_tables` takes. ``detects_shots`` is
    for :class:`extract.detectors.service.ShotService` alone. ``larger_batches``: how many times
    the run's batch size an accelerator takes of its items, which are little work each. ``tolerance`` is None
    for an expert that is always computed in float32. ``cites``: keys of ``pipeline/about/references.bib``, or
    BibTeX entries. ``on_request``: only where it is named, not as one of all experts.

    Raises ExpertError where what it declares cannot work together.
    """

    summary: ClassVar[str]
    Options: ClassVar[type[Any]] = NoOptions
    version: ClassVar[int] = 1
    lane: ClassVar[Lane] = "device"
    larger_batches: ClassVar[int] = 1
    upstream: ClassVar[tuple[str, ...]] = ()
    detects_shots: ClassVar[bool] = False
    packages: ClassVar[tuple[Package, ...]] = ()
    empty_reason: ClassVar[str] = "nothing found"
    tolerance: ClassVar[Tolerance | None] = None
    cites: ClassVar[tuple[str, ...]] = ()
    on_request: ClassVar[bool] = False

    def __init__(self, options: Any = None) -> None:
        self.options = self.Options() if options is None else options
        try:
            problem = _contradiction(self)
        except ValueError as error:
            problem = str(error)
        if problem is not None:
            raise ExpertError(f"expert {self.name!r}: {problem}")

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

    def references(self) -> tuple[str, ...]:
        """What to cite for rows made with these options: keys, or BibTeX entries, as in :attr:`cites`."""
        return self.cites

    @property
    def media_streams(self) -> tuple[MediaStream, ...]:
        """What of the file this expert is computed from; nothing for an expert of stored tables.

        Everything that asks whether an expert reads the file rests on this.
        """
        streams = self.streams()
        video: tuple[MediaStream, ...] = ("video",) if streams.pictures or self.detects_shots else ()
        return (*video, "audio") if streams.audio_rate is not None else video

    @property
    def reads_media(self) -> bool:
        """Whether this expert hangs on the decoder (and not on stored tables)."""
        return bool(self.media_streams)

    @property
    def follows_scenes(self) -> bool:
        """Whether its tap is given the scenes: all that an expert of the file can have upstream."""
        return self.detects_shots or (self.reads_media and bool(self.upstream))

    def stream_of(self, media: MediaInfo) -> MediaStream | None:
        """The first of its streams that this file has."""
        there = {"video": media.has_video, "audio": media.has_audio}
        return next((stream for stream in self.media_streams if there[stream]), None)

    def missing_stream(self, media: MediaInfo) -> str | None:
        """Why this file has nothing for this expert, or None if it has (or none is needed)."""
        if not self.reads_media or self.stream_of(media) is not None:
            return None
        return f"no {self.media_streams[0]} stream"

    def unreadable_stream(self, media: MediaInfo) -> str | None:
        """Why the stream that this expert reads is in the file and cannot be read, or None."""
        why = {"video": media.unreadable_video, "audio": media.unreadable_audio}
        readable = self.stream_of(media)
        for stream in self.media_streams:
            if stream == readable or why[stream]:
                return why[stream]
        return None

    def tap(self, media: MediaInfo) -> Tap:
        return Tap()

    def tap_options(self) -> Mapping[str, Any]:
        """Options beside those given, for the decoder's process: what its tap needs of a heavy library."""
        return {}

    def read_tables(self, tables: Mapping[str, pa.Table]) -> Iterator[Item]:
        """Items from the upstream experts' tables of one video (text experts)."""
        return iter(())

    def load(self, resources: Resources) -> Model:
        return PassThrough()

    def misfit(self, experts: Mapping[str, Expert]) -> str | None:
        """What of its options does not fit those of the experts that it reads from, and what to change."""
        return None

    def settings(self) -> dict[str, Any]:
        """All that determines this expert's values beside weights and upstream; JSON-ready."""
        return {"version": self.version, **asdict(self.options)}

    @property
    def host_batch(self) -> int:
        """How many items a thread of the host lane takes at once."""
        return 1

    @property
    def on_device(self) -> bool:
        """Whether rows depend on the device: one of another kind may give other last digits."""
        return self.lane == "device"

    def computed_in(self, precision: Precision) -> Precision:
        """What this expert's rows are computed in when the run asks for ``precision``."""
        return "float32" if self.tolerance is None else precision

    def check_installed(self) -> None:
        """Raises MissingDependency with the command that installs what is missing."""
        missing = [p for p in self.packages if importlib.util.find_spec(p.module) is None]
        if missing:
            modules = ", ".join(p.module for p in missing)
            install = to_install(*sorted({p.extra for p in missing}))
            raise MissingDependency(f"expert {self.name!r} needs {modules}, not installed here: {install}")


def _contradiction(expert: Expert) -> str | None:
    """What an expert declares that cannot work, and what to change; None if there is nothing.

    Whether its upstream can give what it needs is for the registry to check, which knows the others.
    """
    streams, upstream = expert.streams(), ", ".join(expert.upstream)
    reads_tables = type(expert).read_tables is not Expert.read_tables
    if isinstance(expert.upstream, str):
        return f"upstream is a string; a tuple of names is needed: upstream = ({expert.upstream!r},)"
    if expert.lane == "none" and type(expert).load is not Expert.load:
        return 'load() is never called in lane "none": remove it, or set lane = "device" or "host"'
    if expert.detects_shots:
        other = "reads tables" if reads_tables else f"reads from {upstream}" if upstream else None
        return other and f"a shot detector reads only the file, but this one {other}: remove that"
    if expert.reads_media and reads_tables:
        return "asks for streams of the file and for stored tables: remove streams() or read_tables()"
    if streams.pictures and not upstream:
        return 'asks for frames or keyframes, which come with their shots: add upstream = ("scenes",)'
    if not expert.reads_media and not reads_tables:
        begin = f"names {upstream} upstream but" if upstream else "asks for nothing of the file and"
        return f"{begin} reads no table: add what its tap needs to streams(), or add read_tables()"
    says_whose = any("upstream" in vars(base) for base in type(expert).__mro__ if base is not Expert)
    if reads_tables and not says_whose:
        return "reads tables but names no experts: add those that write the tables to upstream"
    return None
