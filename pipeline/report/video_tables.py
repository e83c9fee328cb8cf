"""The tables of a store one shard at a time, cut by video: what pages and summaries read."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from extract.errors import command, count
from extract.tables import timed_rows
from extract.types import Column
from pipeline.storage.location import Location
from pipeline.storage.parquet import open_parquet
from pipeline.store.footer import Footer, InvalidPart, VideoState
from pipeline.store.layout import Store
from pipeline.store.reading import current_parts, read_from, valid_parts, video_rows
from pipeline.store.videos import members_of


@dataclass(frozen=True)
class VideoTables:
    """One video: ``tables`` has the rows that there are, without vectors; ``states`` every state.

    ``facts`` is its row of ``videos``, ``raw_path`` where it lies below the root of all videos. ``columns``
    says what each table's columns mean, ``shapes`` how a vector of a table is shaped. ``untimed`` counts the
    rows that :meth:`timed` has left out.
    """

    video_id: str
    facts: Mapping[str, Any]
    raw_path: bytes = b""
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    states: Mapping[str, VideoState] = field(default_factory=dict)
    columns: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    untimed: int = 0

    def timed(self) -> VideoTables:
        """The same without rows that lie nowhere in time (:func:`extract.tables.timed_rows`)."""
        kept = {name: timed_rows(table) for name, table in self.tables.items()}
        lost = sum(len(table) - len(kept[name]) for name, table in self.tables.items())
        return replace(self, tables={n: table for n, table in kept.items() if len(table)}, untimed=lost)


def untimed_rows(store: object, number: int) -> str:
    """The line that tells of them."""
    return f"{count(number, 'row')} without a possible time left out: {command('verify', store)}"


def videos_of(
    store: Store,
    *,
    video_ids: Collection[str] | None = None,
    vectors: bool = False,
    damaged: Callable[[InvalidPart], None] | None = None,
) -> Iterator[VideoTables]:
    """Every video of the store by shard, or these alone.

    No more than one shard's rows are in memory; with ``vectors``, which tables then have as ``embedding``, no
    more than one video's. ``damaged`` is told of each part that cannot be read, whose rows are then still to
    do. Raises StoreError for a store that cannot be read; without ``damaged``, InvalidPart for a part.
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
        footers: dict[str, Footer] = {}
        rows: dict[str, Callable[[str], pa.Table]] = {}
        for table in parts:
            if shard in parts[table]:
                part, footer = parts[table][shard]
                try:
                    rows[table], footers[table] = _rows_of(part.path, footer, vectors), footer
                except InvalidPart as error:
                    if damaged is None:
                        raise
                    damaged(error)
        specs = {table: footer.header.spec for table, footer in footers.items()}
        for row in facts:
            name = row["video_id"]
            if video_ids is not None and name not in video_ids:
                continue
            states = {table: f.videos[name] for table, f in footers.items() if name in f.videos}
            yield VideoTables(
                name,
                {key: _known(value) for key, value in row.items() if key != "path_bytes"},
                row["path_bytes"] or row["path"].encode(),
                {table: rows[table](name) for table, state in states.items() if state.rows},
                states,
                {table: spec.columns for table, spec in specs.items()},
                {table: spec.embedding.shape for table, spec in specs.items() if spec.embedding},
            )


def _known(fact: Any) -> Any:
    """None for what is no number."""
    return None if isinstance(fact, float) and not math.isfinite(fact) else fact


def _rows_of(path: Location, footer: Footer, vectors: bool) -> Callable[[str], pa.Table]:
    """Gives the rows of each video of a part."""
    if vectors:
        return lambda video_id: pa.Table.from_batches(video_rows(path, footer, video_id))
    return rows_by_video(path, footer).__getitem__


def rows_by_video(path: Location, footer: Footer) -> dict[str, pa.Table]:
    """The rows of a part by video, without ids and vectors: they stand in the order of the footer."""
    names = ["start_seconds", "end_seconds", *(column.name for column in footer.header.spec.columns)]
    with read_from(path), open_parquet(path) as file:
        table = file.read(columns=names).combine_chunks()
    found, first = {}, 0
    for video_id, state in footer.videos.items():
        found[video_id] = table.slice(first, state.rows)
        first += state.rows
    return found
