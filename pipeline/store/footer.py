"""What a part says of itself: what its rows are made of, and how each of its videos went."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa

from extract.declarations import Embedding, TableSpec
from extract.errors import StoreError, clean
from extract.options import Dtype
from extract.tables import embedding_dtype, table_schema
from extract.types import Column, Outcome, State
from extract.types import Failure as Failure
from pipeline.device_kind import UNKNOWN
from pipeline.storage.location import Location
from pipeline.storage.parquet import read_metadata
from pipeline.storage.versions import marquee_version
from pipeline.store.layout import Target

KEY = b"marquee"
_LONGEST_MESSAGE = 2000
SHARED_COLUMNS = (
    Column("video_id", "string", "path relative to the videos folder, without suffix"),
    Column("row", "int32", "0, 1, ... within a video and table"),
    Column("start_seconds", "float64", "start of the row's interval on the container's presentation clock"),
    Column("end_seconds", "float64", "its end, exclusive"),
)


@dataclass(frozen=True)
class VideoState:
    """How one video went in one table; ``size_bytes`` is the size that the input had then.

    ``rows`` is filled in by the writer. ``attempts`` counts the runs that failed. A failure of
    stage ``upstream`` means that an expert which this one reads had failed.
    """

    state: State
    rows: int = 0
    reason: str = ""
    size_bytes: int | None = None
    attempts: int = 1
    failure: Failure | None = None

    def __post_init__(self) -> None:
        if self.state not in ("ok", "absent", "failed"):
            raise ValueError(f"a state is ok, absent or failed, got {self.state!r}")
        if (self.failure is not None) != (self.state == "failed"):
            raise ValueError(f"a failed video has a failure, and only that: {self}")
        if self.rows and self.state != "ok":
            raise ValueError(f"a video that is {self.state} has no rows, got {self.rows}")
        if self.state == "absent" and not self.reason:
            raise ValueError("an absent video needs a reason (no audio, no speech, no text, ...)")
        if self.rows < 0:
            raise ValueError(f"rows are {self.rows}")

    @classmethod
    def of(cls, outcome: Outcome, table: str, *, size_bytes: int | None, attempts: int = 1) -> VideoState:
        """The state of one table of an expert, from what the engine says of the expert.

        An expert with rows in one table may have none in another: that one is absent. Only
        failures are counted in ``attempts``, so that a resumed run's footers equal another's.
        """
        if outcome.failure is not None:
            why = outcome.failure
            failure = Failure(why.stage, why.error_type, clean(why.message)[:_LONGEST_MESSAGE])
            return cls("failed", size_bytes=size_bytes, attempts=attempts, failure=failure)
        if outcome.rows[table]:
            return cls("ok", size_bytes=size_bytes)
        reason = outcome.reason or "nothing found"
        return cls("absent", reason=reason, size_bytes=size_bytes)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> VideoState:
        failure, size_bytes = entry.get("failure"), entry.get("size_bytes")
        for name, kind in (("rows", int), ("reason", str), ("attempts", int)):
            if name in entry:
                _checked(entry[name], kind)
        if size_bytes is not None:
            _checked(size_bytes, int)
        for text in failure.values() if failure else ():
            _checked(text, str)
        return cls(**{**entry, "failure": Failure(**failure) if failure else None})


@dataclass(frozen=True)
class PartHeader:
    """What all rows of a part have in common."""

    target: Target
    table: str
    shard: int
    spec: TableSpec
    dtype: Dtype = "float16"

    @property
    def schema(self) -> pa.Schema:
        return table_schema(self.spec, dtype=self.dtype)

    @property
    def devices(self) -> tuple[str, ...]:
        """The kinds of device (:mod:`pipeline.device_kind`) that the rows were made on."""
        return tuple(self.target.notes.get("devices", (UNKNOWN,)))

    def beside(self, other: PartHeader) -> PartHeader:
        """This header, of a part that also holds rows which were written under the other one."""
        if "devices" not in self.target.notes:
            return self
        devices = sorted({*self.devices, *other.devices})
        notes = {**self.target.notes, "devices": devices}
        return replace(self, target=replace(self.target, notes=notes))

    def to_json(self) -> dict[str, Any]:
        columns = {
            c.name: {"type": c.type, "meaning": c.meaning} for c in (*SHARED_COLUMNS, *self.spec.columns)
        }
        embedding = self.spec.embedding
        return {
            "marquee": marquee_version(),
            **asdict(self.target),
            "table": self.table,
            "shard": self.shard,
            "columns": columns,
            "embedding": None
            if embedding is None
            else {**asdict(embedding), "dtype": embedding_dtype(self.spec, self.dtype)},
            "dtype": self.dtype,
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> PartHeader:
        columns = tuple(
            Column(name, column["type"], _checked(column["meaning"], str))
            for name, column in entry["columns"].items()
            if name not in {column.name for column in SHARED_COLUMNS}
        )
        embedding = entry["embedding"]
        vectors = None if embedding is None else _embedding(embedding)
        target = Target(
            expert=_checked(entry["expert"], str),
            fingerprint=_checked(entry["fingerprint"], str),
            tables=tuple(_checked(name, str) for name in _checked(entry["tables"], list)),
            upstream=tuple(_checked(name, str) for name in _checked(entry["upstream"], list)),
            made_of=_checked(entry["made_of"], dict),
            notes=_checked(entry["notes"], dict),
        )
        if entry["dtype"] not in ("float16", "float32"):
            raise ValueError(f"no such dtype: {_short(entry['dtype'])}")
        return cls(
            target,
            _checked(entry["table"], str),
            _checked(entry["shard"], int),
            TableSpec(columns, vectors),
            entry["dtype"],
        )


def _embedding(entry: Mapping[str, Any]) -> Embedding:
    shape = tuple(_checked(size, int) for size in entry["shape"])
    if not all(0 < size < 1 << 31 for size in shape):
        raise ValueError(f"not the shape of a vector: {_short(shape)}")
    return Embedding(shape, float32=entry["float32"], nan=entry["nan"])


@dataclass(frozen=True)
class Footer:
    """A part's header and its videos, in the order of their rows. Videos not here are still to do."""

    header: PartHeader
    videos: Mapping[str, VideoState] = field(default_factory=dict)

    def metadata(self) -> dict[bytes, bytes]:
        """As Parquet key-value metadata."""
        videos = {video_id: asdict(state) for video_id, state in self.videos.items()}
        return {KEY: json.dumps({**self.header.to_json(), "videos": videos}).encode()}


class InvalidPart(StoreError):
    """A part that is not there, is damaged or is another's: its videos are still to do."""


class MissingPart(InvalidPart):
    """A part that is not there."""


def read_footer(path: Location) -> Footer:
    """A part's footer. Raises InvalidPart where the file is damaged, or its counts disagree, and MissingPart.

    Storage that cannot be read says nothing about the part: that raises a plain StoreError.
    """
    try:
        metadata = read_metadata(path)
        footer = _parsed((metadata.metadata or {})[KEY])
        said = sum(state.rows for state in footer.videos.values())
    except FileNotFoundError:
        raise MissingPart(f"there is no part {str(path)!r}") from None
    except _NOT_OURS as error:
        if isinstance(error, OSError) and error.errno and error.errno not in _NOT_A_FILE:
            raise StoreError(
                f"cannot read part {str(path)!r}: {os.strerror(error.errno)} (check the disk and run again; "
                "a deleted part is computed again)"
            ) from error
        raise InvalidPart(
            f"part {str(path)!r} is damaged: {type(error).__name__}: {_short(error)}"
        ) from error
    if said != metadata.num_rows:
        raise InvalidPart(f"part {str(path)!r} is damaged: {metadata.num_rows} rows, footer says {said}")
    return footer


def _parsed(text: bytes) -> Footer:
    """Raises any of ``_NOT_OURS`` for what no footer of ours is, however it was made."""
    entry = json.loads(text)
    if b"\\ud" in text.lower():
        json.dumps(entry, ensure_ascii=False).encode()  # half a character cannot be written anywhere
    videos = {name: VideoState.from_json(state) for name, state in entry["videos"].items()}
    footer = Footer(PartHeader.from_json(entry), videos)
    footer.header.schema  # noqa: B018 (raises for types and sizes that there are not)
    return footer


def _checked(value: Any, kind: type) -> Any:
    """The value. Raises TypeError for one of another type; True is not a number."""
    if type(value) is not kind:
        raise TypeError(f"{_short(repr(value))} is not {kind.__name__}")
    return value


def _short(text: object) -> str:
    return " ".join(str(text).split())[:200]


_NOT_A_FILE = (errno.EISDIR, errno.EINVAL)
_NOT_OURS = (
    OSError, pa.ArrowException, ValueError, KeyError, TypeError, AttributeError, RecursionError,
    OverflowError,
)  # fmt: skip
