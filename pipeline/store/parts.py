"""Writing parts: one file per table and shard, streamed, and replaced in one instant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.storage.location import Location
from pipeline.storage.parquet import open_parquet
from pipeline.store.footer import Footer, PartHeader, VideoState
from pipeline.store.layout import PartFile, Store
from pipeline.store.validity import valid_footer

ROW_GROUP_BYTES = 4 << 20
_MOST_ROWS = 16_384


@dataclass(frozen=True)
class VideoRows:
    """One video's rows for a part, consumed once and in row order; none unless it is ``ok``."""

    video_id: str
    state: VideoState
    batches: Iterable[pa.RecordBatch] = ()


def merge_part(
    store: Store, header: PartHeader, new: Iterable[VideoRows], *, members: Collection[str] | None = None
) -> Footer:
    """Put these videos into their part: what it holds of others is kept, of the same replaced.

    Rows stream from file to file in row groups of about 4 MiB, so memory depends neither on how
    long a video is nor on how many there are. A part that is not valid counts as empty (``members``: the
    videos of its shard, :func:`pipeline.store.validity.faults`). Raises ValueError for rows that do not fit
    the table, StoreError where the disk refuses.
    """
    part = store.part(header.table, shard=header.shard, fingerprint=header.target.fingerprint)
    arriving = sorted(new, key=lambda video: video.video_id)
    old = valid_footer(part, members)
    if old is None or not old.videos:
        return _write(store, part.path, header, arriving)
    replaced = {video.video_id for video in arriving}
    if not old.videos.keys() <= replaced:
        header = header.beside(old.header)
    with open_parquet(part.path, pre_buffer=False) as file:
        kept = _kept(file, old.videos, replaced)
        return _write(store, part.path, header, _in_order(kept, iter(arriving)))


def drop_from_part(store: Store, part: PartFile, video_ids: Collection[str]) -> None:
    """Take videos out of a part, whatever its fingerprint. One that is damaged counts as empty already."""
    old = valid_footer(part, None)
    if old is None or old.videos.keys().isdisjoint(video_ids):
        return
    with open_parquet(part.path, pre_buffer=False) as file:
        _write(store, part.path, old.header, _kept(file, old.videos, video_ids))


def row_group_rows(schema: pa.Schema) -> int:
    """Rows of a row group: fixed by the schema, so that checkpoints leave no trace in the layout."""
    width = 0
    for field in schema:
        vector = pa.types.is_fixed_size_list(field.type)
        width += field.type.list_size * field.type.value_type.bit_width // 8 if vector else 32
    return max(1, min(_MOST_ROWS, ROW_GROUP_BYTES // width))


def _write(store: Store, path: Location, header: PartHeader, videos: Iterable[VideoRows]) -> Footer:
    states: dict[str, VideoState] = {}
    schema = header.schema
    plain = [field.name for field in schema if field.name != "embedding"]
    with (
        store.write(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            compression="zstd",
            use_dictionary=[field.name for field in schema if field.type == pa.string()],
            write_statistics=plain,
            write_page_checksum=True,
        ) as writer,
    ):
        size = row_group_rows(schema)
        for group in _groups(_checked(videos, schema, states), size):
            writer.write_table(group, row_group_size=size)
        footer = Footer(header, states)
        writer.add_key_value_metadata(footer.metadata())
    return footer


def _checked(
    videos: Iterable[VideoRows], schema: pa.Schema, states: dict[str, VideoState]
) -> Iterator[pa.RecordBatch]:
    """The batches of all videos in order; fills ``states`` with counted rows on the way."""
    last: str | None = None
    for video in videos:
        if last is not None and video.video_id <= last:
            raise ValueError(f"videos must come sorted and once: {video.video_id!r} after {last!r}")
        last = video.video_id
        rows = 0
        for batch in video.batches:
            if not batch.schema.equals(schema):
                raise ValueError(f"rows of {last!r} have schema {batch.schema}, the table has {schema}")
            numbers = pa.array(range(rows, rows + len(batch)), pa.int32())
            if not batch["row"].equals(numbers) or pc.any(pc.not_equal(batch["video_id"], last)).as_py():
                raise ValueError(f"rows of {last!r} are not its own, or not numbered 0, 1, ...")
            rows += len(batch)
            yield batch
        if (rows > 0) != (video.state.state == "ok"):
            raise ValueError(
                f"{last!r} is {video.state.state} with {rows} rows: ok has rows, absent and failed none"
            )
        states[last] = replace(video.state, rows=rows)


def _groups(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly ``size`` rows, the last one shorter."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        while rows + len(batch) >= size:
            missing = size - rows
            yield pa.Table.from_batches([*waiting, batch.slice(0, missing)])
            batch = batch.slice(missing)
            waiting, rows = [], 0
        if len(batch):
            waiting.append(batch)
            rows += len(batch)
    if waiting:
        yield pa.Table.from_batches(waiting)


def _kept(
    file: pq.ParquetFile, videos: Mapping[str, VideoState], replaced: Collection[str]
) -> Iterator[VideoRows]:
    """The videos of a part that stay; each must be consumed before the next is asked for."""
    batches = file.iter_batches(batch_size=row_group_rows(file.schema_arrow), use_threads=False)
    cursor = _Cursor(batches)
    for video_id, state in videos.items():
        rows = cursor.take(state.rows)
        if video_id in replaced:
            for _ in rows:
                pass
        else:
            yield VideoRows(video_id, state, rows)


class _Cursor:
    """Consecutive slices of a stream of batches."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._rest: pa.RecordBatch | None = None

    def take(self, rows: int) -> Iterator[pa.RecordBatch]:
        while rows:
            batch = self._rest if self._rest is not None and len(self._rest) else next(self._batches)
            part = batch.slice(0, rows)
            self._rest = batch.slice(len(part))
            rows -= len(part)
            yield part


def _in_order(left: Iterator[VideoRows], right: Iterator[VideoRows]) -> Iterator[VideoRows]:
    """Two sorted streams as one. Holds only one video of each: ``left`` may not be read ahead further."""
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a.video_id < b.video_id):
            assert a is not None
            yield a
            a = next(left, None)
        else:
            yield b
            b = next(right, None)
