"""The tables of a store one shard at a time, cut by video: what pages and summaries read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from extract.types import Column
from pipeline.storage.parquet import open_parquet
from pipeline.store.footer import Footer, VideoState
from pipeline.store.layout import Store
from pipeline.store.reading import current_parts, valid_parts
from pipeline.store.videos import members_of


@dataclass(frozen=True)
class VideoTables:
    """One video: ``tables`` has the rows that there are, without vectors; ``states`` every state.

    ``facts`` is its row of ``videos``, ``raw_path`` where it lies below the root of all videos. ``columns``
    says what each table's columns mean.
    """

    video_id: str
    facts: Mapping[str, Any]
    raw_path: bytes = b""
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    states: Mapping[str, VideoState] = field(default_factory=dict)
    columns: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)


def videos_of(store: Store) -> Iterator[VideoTables]:
    """Every video of the store by shard; no more than one shard's rows are in memory.

    Raises StoreError for a store that cannot be read.
    """
    members = members_of(store)
    parts = {
        table: {part.shard: (part, footer) for part, footer in valid_parts(store, found, members)}
        for target in store.targets()
        for table in target.tables
        if (found := current_parts(store, table))
    }
    for shard in store.shards():
        with open_parquet(store.shard_path(shard)) as file:
            facts = file.read().to_pylist()
        read = {
            table: (footer, _rows(part.path, footer))
            for table, found in parts.items()
            if shard in found
            for part, footer in [found[shard]]
        }
        columns = {table: footer.header.spec.columns for table, (footer, _) in read.items()}
        for row in facts:
            name = row["video_id"]
            yield VideoTables(
                name,
                {key: value for key, value in row.items() if key != "path_bytes"},
                row["path_bytes"] or row["path"].encode(),
                {table: rows[name] for table, (_, rows) in read.items() if len(rows.get(name, ()))},
                {table: footer.videos[name] for table, (footer, _) in read.items() if name in footer.videos},
                columns,
            )


def _rows(path: Any, footer: Footer) -> dict[str, pa.Table]:
    """The rows of a part by video: they stand in the order of the footer."""
    names = ["start_seconds", "end_seconds", *(column.name for column in footer.header.spec.columns)]
    with open_parquet(path) as file:
        table = file.read(columns=names).combine_chunks()
    found, first = {}, 0
    for video_id, state in footer.videos.items():
        found[video_id] = table.slice(first, state.rows)
        first += state.rows
    return found
