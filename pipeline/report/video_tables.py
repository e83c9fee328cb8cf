"""The tables of a store one shard at a time, cut by video: what pages and summaries read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from extract.types import Column
from pipeline.storage.location import Location
from pipeline.storage.parquet import open_parquet
from pipeline.store.footer import Footer, VideoState
from pipeline.store.layout import Store
from pipeline.store.reading import current_parts, valid_parts, video_rows
from pipeline.store.videos import members_of


@dataclass(frozen=True)
class VideoTables:
    """One video: ``tables`` has the rows that there are, without vectors; ``states`` every state.

    ``facts`` is its row of ``videos``, ``raw_path`` where it lies below the root of all videos. ``columns``
    says what each table's columns mean, ``shapes`` how a vector of a table is shaped.
    """

    video_id: str
    facts: Mapping[str, Any]
    raw_path: bytes = b""
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    states: Mapping[str, VideoState] = field(default_factory=dict)
    columns: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def videos_of(
    store: Store, *, video_ids: Collection[str] | None = None, vectors: bool = False
) -> Iterator[VideoTables]:
    """Every video of the store by shard, or these alone.

    No more than one shard's rows are in memory; with ``vectors``, which tables then have as ``embedding``, no
    more than one video's. Raises StoreError for a store that cannot be read.
    """
    members = members_of(store) or {}
    parts = {
        table: {part.shard: (part, footer) for part, footer in valid_parts(store, found, members)}
        for target in store.targets()
        for table in target.tables
        if (found := current_parts(store, table))
    }
    for shard in store.shards():
        if video_ids is not None and members.get(shard, frozenset()).isdisjoint(video_ids):
            continue
        with open_parquet(store.shard_path(shard)) as file:
            facts = file.read().to_pylist()
        here = {table: parts[table][shard] for table in parts if shard in parts[table]}
        footers = {table: footer for table, (_, footer) in here.items()}
        rows = {table: _rows_of(part.path, footer, vectors) for table, (part, footer) in here.items()}
        specs = {table: footer.header.spec for table, footer in footers.items()}
        for row in facts:
            name = row["video_id"]
            if video_ids is not None and name not in video_ids:
                continue
            states = {table: f.videos[name] for table, f in footers.items() if name in f.videos}
            yield VideoTables(
                name,
                {key: value for key, value in row.items() if key != "path_bytes"},
                row["path_bytes"] or row["path"].encode(),
                {table: rows[table](name) for table, state in states.items() if state.rows},
                states,
                {table: spec.columns for table, spec in specs.items()},
                {table: spec.embedding.shape for table, spec in specs.items() if spec.embedding},
            )


def _rows_of(path: Location, footer: Footer, vectors: bool) -> Callable[[str], pa.Table]:
    """Gives the rows of each video of a part."""
    if vectors:
        return lambda video_id: pa.Table.from_batches(video_rows(path, footer, video_id))
    return rows_by_video(path, footer).__getitem__


def rows_by_video(path: Location, footer: Footer) -> dict[str, pa.Table]:
    """The rows of a part by video, without ids and vectors: they stand in the order of the footer."""
    names = ["start_seconds", "end_seconds", *(column.name for column in footer.header.spec.columns)]
    with open_parquet(path) as file:
        table = file.read(columns=names).combine_chunks()
    found, first = {}, 0
    for video_id, state in footer.videos.items():
        found[video_id] = table.slice(first, state.rows)
        first += state.rows
    return found
