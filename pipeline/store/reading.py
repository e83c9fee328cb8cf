"""Reading a store: one table, of one fingerprint."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import TYPE_CHECKING

import pyarrow as pa

from extract.errors import StoreError, command, did_you_mean
from pipeline.storage.location import Location, ahead, location
from pipeline.storage.parquet import open_parquet, parquet_dataset
from pipeline.store.footer import Footer, InvalidPart
from pipeline.store.layout import PartFile, Store, open_store
from pipeline.store.parts import row_group_rows
from pipeline.store.validity import valid_footer
from pipeline.store.videos import members_of, plan_problems, read_shards, videos_schema

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset


def read(
    out: str | os.PathLike[str] | Location | Store,
    table: str,
    *,
    fingerprint: str | None = None,
    columns: Sequence[str] | None = None,
    video_ids: Collection[str] | None = None,
) -> pa.Table:
    """One table of a store in memory, sorted by (``video_id``, ``row``) within each shard.

    Rows of parts that are not valid (:mod:`pipeline.store.validity`) are still to do, not read. May be called
    while a run writes.

    Args:
        out: the store; a path, or a URL of object storage.
        table: its name, such as ``scenes``, or ``videos``.
        fingerprint: of the rows; default: of those that the last run wanted.
        columns: names of those that are read; default: all. Times are in seconds; vectors are ``embedding``,
            a fixed-size list of float16 or float32.
        video_ids: the videos whose rows are read; default: all.

    Raises:
        StoreError: there is no such store or table, or no valid rows.

    Example:
        >>> import pipeline
        >>> shots = pipeline.read("features", "scenes", columns=["scene", "end_seconds"], video_ids=["slow0"])
        >>> shots.to_pylist()
        [{'scene': 0, 'end_seconds': 1.0}, {'scene': 1, 'end_seconds': 2.0}]
        >>> vectors = pipeline.read("features", "lowlevel")["embedding"].combine_chunks()
        >>> vectors.flatten().to_numpy().reshape(len(vectors), -1).shape
        (60, 115)
    """
    from pyarrow.dataset import field  # brings pandas along: half of the start of a command

    chosen = dataset(out, table, fingerprint=fingerprint)
    only = None if video_ids is None else field("video_id").isin(sorted(video_ids))
    try:
        found: pa.Table = chosen.to_table(columns=None if columns is None else list(columns), filter=only)
    except OSError as error:
        raise _unreadable(
            f"a part of table {table!r}", str(out.root if isinstance(out, Store) else out), error
        ) from error
    return found.replace_schema_metadata(None)


def dataset(
    out: str | os.PathLike[str] | Location | Store, table: str, *, fingerprint: str | None = None
) -> Dataset:
    """The same as :func:`read`, to be streamed, with filters that are pushed down to row groups.

    Args:
        out: the store; a path, or a URL of object storage.
        table: its name, such as ``scenes``, or ``videos``.
        fingerprint: of the rows; default: of those that the last run wanted.

    Raises:
        StoreError: there is no such store or table, or no valid rows.

    Example:
        >>> import pipeline
        >>> sum(len(rows) for rows in pipeline.dataset("features", "scenes").to_batches())
        60
    """
    store = out if isinstance(out, Store) else open_store(location(out))
    if table == "videos":
        shards = read_shards(store)
        for problem in plan_problems(shards):
            raise StoreError(f"{str(store.root)!r}: {problem}")
        files = [store.shard_path(shard.index) for shard in shards]
    else:
        parts = current_parts(store, table, fingerprint=fingerprint)
        files = [part.path for part, _ in valid_parts(store, parts, members_of(store))]
        if parts and not files:
            raise StoreError(
                f"no part of table {table!r} is valid; to see why, and what to do: "
                f"{command('verify', store.root)}"
            )
    if not files:
        there = ["videos", *store.tables()]
        near = did_you_mean(table, there)
        raise StoreError(f"{str(store.root)!r} has no table {table!r}; it has {', '.join(there)}{near}")
    return parquet_dataset(files, videos_schema(store) if table == "videos" else None)


@contextmanager
def read_from(path: Location) -> Iterator[None]:
    """Raises InvalidPart for rows that cannot be read, though the part's footer can."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(f"part {str(path)!r}", str(path.parent.parent), error) from error


def _unreadable(what: str, store: str, error: Exception) -> InvalidPart:
    why = " ".join(str(error).split())[:200]
    return InvalidPart(f"{what} cannot be read ({why}): {command('verify', store)} says what to do")


def readable_batches(store: Store, table: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a table, a part at a time; those of a damaged part are still to do, as of one not valid."""
    for part, _ in valid_parts(store, current_parts(store, table), members_of(store)):
        try:
            with read_from(part.path), open_parquet(part.path) as file:
                there = [name for name in columns if name in file.schema_arrow.names]
                rows = file.read(there)
        except InvalidPart:
            continue
        yield from rows.to_batches()


def video_rows(path: Location, footer: Footer, video_id: str) -> Iterator[pa.RecordBatch]:
    """One video's rows of a part, streamed; ``footer`` is the part's, which says where they stand."""
    first = sum(footer.videos[before].rows for before in takewhile(video_id.__ne__, footer.videos))
    left = footer.videos[video_id].rows
    with read_from(path), open_parquet(path, pre_buffer=False) as file:
        size = row_group_rows(file.schema_arrow)
        groups = list(range(first // size, -(-(first + left) // size)))
        skip = first % size
        for batch in file.iter_batches(batch_size=size, row_groups=groups, use_threads=False):
            rows = batch.slice(skip, left)
            skip, left = max(0, skip - len(batch)), left - len(rows)
            if len(rows):
                yield rows


def current_parts(store: Store, table: str, *, fingerprint: str | None = None) -> list[PartFile]:
    """The parts of one fingerprint: the one given, else the one in ``run.json``, else the newest."""
    parts = store.parts(table)
    if fingerprint is None:
        named = [target.fingerprint for target in store.targets() if table in target.tables]
        fingerprint = named[0] if named else _newest(parts)
    chosen = [part for part in parts if part.fingerprint == fingerprint]
    if parts and not chosen:
        there = ", ".join(sorted({part.fingerprint for part in parts}))
        raise StoreError(f"table {table!r} has no rows of fingerprint {fingerprint!r}; it has {there}")
    return chosen


def valid_parts(
    store: Store,
    parts: Sequence[PartFile],
    members: Mapping[int, frozenset[str]] | None,
    rule: Callable[[PartFile, Collection[str] | None], Footer | None] = valid_footer,
) -> Iterator[tuple[PartFile, Footer]]:
    """Those that count, with their footers; ``members``: :func:`pipeline.store.videos.members_of`.

    ``rule``: :func:`pipeline.store.validity.checked_footer` raises InvalidPart for the others.
    """

    def one(part: PartFile) -> Footer | None:
        known = None if members is None else members.get(part.shard, frozenset())
        return rule(part, known)

    for part, footer in zip(parts, ahead(one, parts, store.root), strict=True):
        if footer is not None:
            yield part, footer


def footer_of(store: Store, table: str) -> Footer | None:
    """That of a valid part, which says what the table's rows are; None without one. Reads no other."""
    for part in current_parts(store, table):
        for _, footer in valid_parts(store, [part], members_of(store, shard=part.shard)):
            return footer
    return None


def _newest(parts: Sequence[PartFile]) -> str | None:
    newest = max(parts, key=_written, default=None)
    return newest.fingerprint if newest else None


def _written(part: PartFile) -> float:
    try:
        return float(part.path.stat().st_mtime)
    except FileNotFoundError:  # taken out meanwhile
        return 0.0
