"""The ``videos`` table: which file is which ``video_id``, in which shard, and what was measured of it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from extract.errors import MediaError, StoreError
from extract.tables import arrow_fields
from extract.types import FACTS
from pipeline.storage.location import Location, ahead, is_remote, join, location
from pipeline.storage.names import display
from pipeline.storage.parquet import open_parquet, read_metadata
from pipeline.storage.scan import Input
from pipeline.store.layout import Store

_PLANNED = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("path_bytes", pa.binary()),
        pa.field("bytes", pa.int64()),
    ]
)
_MEASURED = pa.schema(arrow_fields(FACTS))
VIDEOS_SCHEMA = pa.schema([*_PLANNED, *_MEASURED])


@dataclass(frozen=True, slots=True)
class Video:
    """One planned input as it is now: ``size_bytes`` is its present size, None where ``problem`` says why.

    ``stamp`` as :class:`pipeline.storage.scan.Input` has it, where the file was looked at.
    """

    video_id: str
    raw: bytes
    size_bytes: int | None
    problem: str | None = None
    stamp: str | None = field(default=None, compare=False)

    @property
    def path(self) -> str:
        """For messages, relative to the videos folder; use :meth:`file` or :meth:`source` to open it."""
        return display(self.raw)

    def file(self, root: Path) -> Path:
        return root / os.fsdecode(self.raw)

    def source(self, root: Location) -> Location:
        """Where it lies below the scanned folder or prefix."""
        return join(root, self.raw)


@dataclass(frozen=True)
class Shard:
    """The unit of scheduling: videos sorted by ``video_id``; its membership never changes.

    ``whole``: the ids of all of its videos, where ``videos`` are some of them.
    """

    index: int
    videos: tuple[Video, ...]
    whole: frozenset[str] = frozenset()

    @property
    def members(self) -> frozenset[str]:
        """The videos that a part of this shard may have rows of."""
        return self.whole or frozenset(video.video_id for video in self.videos)


def films_root(store: Store) -> Path | None:
    """The folder (or the one film) that all paths are relative to; None on object storage or unknown."""
    root = store.videos_root
    return None if root is None or is_remote(location(root)) else Path(root)


def film_path(root: Path | None, raw: bytes) -> Path | None:
    """The film ``raw`` below :func:`films_root`; None where there is no such file now.

    Raises MediaError for a path that leads out of the root, which no scan writes. A link that lies in it may.
    """
    if root is None:
        return None
    name = Path(os.fsdecode(raw))
    if name.is_absolute() or ".." in name.parts:
        raise MediaError(f"{str(name)!r} leads out of the videos folder")
    path = root if os.path.isfile(root) else root / name
    return path if os.path.isfile(path) else None  # a Path's own method raises for names that are too long


def read_shards(store: Store) -> list[Shard]:
    """The planned shards as last seen, without looking at the videos (for status and verify)."""
    return shards_of(store, None)


def members_of(store: Store, *, shard: int | None = None) -> dict[int, frozenset[str]] | None:
    """The ids of every planned shard's videos, or of this one's; None for a store without any plan."""
    if shard is None:
        return {one.index: one.members for one in read_shards(store)} or None
    planned = store.shards()
    if shard in planned:
        return {shard: frozenset(video.video_id for video in _read(store, shard, None))}
    return {} if planned else None


def plan_problems(shards: Iterable[Shard]) -> Iterator[str]:
    """Videos that two shards claim: a file of the plan was copied over another, or has another's name."""
    claimed: set[str] = set()
    for shard in shards:
        twice = sorted(name for name in shard.members if name in claimed)
        if twice:
            yield f"videos: {twice[0]!r} is planned more than once"
        claimed |= shard.members


def shards_of(store: Store, present: Mapping[bytes, Input] | None) -> list[Shard]:
    indices = store.shards()
    members = ahead(lambda index: _read(store, index, present), indices, store.root)
    return [Shard(index, videos) for index, videos in zip(indices, members, strict=True)]


def update_videos(store: Store, shard: int, facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Write what was measured of some videos of a shard, by ``video_id`` and column.

    A value of None leaves an older one as it is (a pass without audio does not unmeasure it),
    except where ``bytes`` changed: then it is another file, and nothing older is kept. To be
    written before the rows of these videos, or a killed run would lose it. Raises ValueError for
    unknown videos and columns.
    """
    table = _table(store, shard)
    schema = _with_all_columns(table.schema)
    rows = {row["video_id"]: row for row in table.to_pylist()}
    allowed = {"bytes", *_MEASURED.names}
    for video_id, values in facts.items():
        if video_id not in rows:
            raise ValueError(f"{video_id!r} is not in shard {shard}")
        if not values.keys() <= allowed:
            raise ValueError(
                f"unknown columns {sorted(values.keys() - allowed)}; there are {sorted(allowed)}"
            )
        row = rows[video_id]
        if values.get("bytes") not in (None, row["bytes"]):
            row.update(dict.fromkeys(name for name in schema.names if name not in _PLANNED.names))
        row.update((name, value) for name, value in values.items() if value is not None)
    updated = pa.Table.from_pylist(list(rows.values()), schema=schema)
    if not updated.equals(table):
        _write(store, shard, updated)


def replace_videos(store: Store, shard: int, sizes: Mapping[str, int | None]) -> None:
    """Videos whose files have changed, of these sizes: nothing measured of the old ones is kept."""
    table = _table(store, shard)
    rows = table.to_pylist()
    for row in rows:
        if row["video_id"] in sizes:
            row.update(dict.fromkeys(name for name in row if name not in _PLANNED.names))
            row["bytes"] = sizes[row["video_id"]]
    _write(store, shard, pa.Table.from_pylist(rows, table.schema))


def remove_videos(store: Store, shard: int, video_ids: Collection[str]) -> None:
    """Take videos out of a shard, which stays with what is left, be it nothing."""
    table = _table(store, shard)
    rows = [row for row in table.to_pylist() if row["video_id"] not in video_ids]
    _write(store, shard, pa.Table.from_pylist(rows, table.schema))


def write_shard(store: Store, shard: Shard) -> Shard:
    columns: dict[str, list[Any]] = {
        "video_id": [video.video_id for video in shard.videos],
        "path": [video.path for video in shard.videos],
        "path_bytes": [_if_not_utf8(video.raw) for video in shard.videos],
        "bytes": [video.size_bytes for video in shard.videos],
    }
    columns |= {name: [None] * len(shard.videos) for name in _MEASURED.names}
    _write(store, shard.index, pa.table(columns, schema=VIDEOS_SCHEMA))
    return shard


def _write(store: Store, shard: int, table: pa.Table) -> None:
    with store.write(store.shard_path(shard)) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _if_not_utf8(raw: bytes) -> bytes | None:
    return None if display(raw).encode() == raw else raw


def _with_all_columns(schema: pa.Schema) -> pa.Schema:
    """The columns of this version, and behind them those that a newer one wrote."""
    return pa.schema([*VIDEOS_SCHEMA, *(field for field in schema if field.name not in VIDEOS_SCHEMA.names)])


def _table(store: Store, shard: int, columns: list[str] | None = None) -> pa.Table:
    """A shard's rows; measured columns that an older version did not know are left out."""
    path = store.shard_path(shard)
    try:
        with open_parquet(path, whole=True) as file:
            table = file.read(columns, use_threads=False)
            missing = set(columns or _PLANNED.names).intersection(_PLANNED.names) - set(table.column_names)
            if missing:
                raise KeyError(f"no column {', '.join(sorted(missing))}")
            return table
    except (OSError, pa.ArrowException, KeyError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Location, error: Exception) -> StoreError:
    return StoreError(
        f"{str(path)!r} is damaged ({error}): it says which video_id belongs to which file, so restore it "
        "from a copy, or delete it and run again: it is rebuilt from the tables"
    )


def _read(store: Store, shard: int, present: Mapping[bytes, Input] | None) -> tuple[Video, ...]:
    rows = _table(store, shard, _PLANNED.names).to_pylist()
    videos = []
    for row in rows:
        raw = row["path_bytes"] if row["path_bytes"] is not None else row["path"].encode()
        if present is None:
            videos.append(Video(row["video_id"], raw, row["bytes"]))
        elif raw in present:
            now = present[raw]
            videos.append(Video(row["video_id"], raw, now.size_bytes, now.problem, now.stamp))
        else:
            videos.append(Video(row["video_id"], raw, None, "file vanished"))
    return tuple(videos)


def measured(store: Store, shard: int) -> dict[str, int | None]:
    """The videos that a whole pass has measured, and the size that they had in bytes then."""
    table = _table(store, shard, ["video_id", "bytes", "duration_seconds"])
    return {
        row["video_id"]: row["bytes"] for row in table.to_pylist() if row.get("duration_seconds") is not None
    }


def durations(store: Store, shard: int) -> dict[str, float]:
    """Seconds of the videos of a shard that a whole pass has measured."""
    rows = _table(store, shard, ["video_id", "duration_seconds"]).to_pylist()
    return {
        row["video_id"]: row["duration_seconds"] for row in rows if row.get("duration_seconds") is not None
    }


def videos_schema(store: Store) -> pa.Schema:
    """All columns of ``videos`` that this version knows or some shard has, whichever version wrote it."""

    def schema_of(index: int) -> pa.Schema:
        path = store.shard_path(index)
        try:
            return read_metadata(path).schema.to_arrow_schema()
        except (OSError, pa.ArrowException) as error:
            raise _damaged(path, error) from error

    schema = VIDEOS_SCHEMA
    for found in ahead(schema_of, store.shards(), store.root):
        schema = pa.schema([*schema, *(field for field in found if field.name not in schema.names)])
    return schema
