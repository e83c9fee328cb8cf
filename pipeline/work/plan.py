"""Which videos make which shard: decided once, written down before the first decode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from extract.errors import UsageError, count, some
from pipeline.storage.location import ahead
from pipeline.storage.names import display, new_ids, without_suffix
from pipeline.storage.scan import Scan
from pipeline.store.layout import Store
from pipeline.store.videos import Shard, Video, shards_of, write_shard
from pipeline.work.lost import restore_plans


@dataclass(frozen=True)
class Plan:
    shards: tuple[Shard, ...]
    warnings: tuple[str, ...] = ()


def plan(scan: Scan, store: Store, *, shard_size: int = 64) -> Plan:
    """The shards of a store: those that there are, and new ones for inputs that are in none.

    New shards are on disk (``videos/part-NNNNN.parquet``) when this returns. Raises UsageError
    for a shard size below 1, StoreError for a damaged shard file.
    """
    if shard_size < 1:
        raise UsageError(f"--shard-size is {shard_size}; a positive number of videos is needed")
    present = {found.raw: found for found in scan.inputs}
    shards, restored = restore_plans(store, scan, shards_of(store, present))
    planned = {video.raw: video.video_id for shard in shards for video in shard.videos}
    vanished = [raw for raw in planned if raw not in present]
    ids = new_ids((found.raw for found in scan.inputs), planned)
    fresh = [found for found in scan.inputs if found.raw in ids]
    following = shards[-1].index + 1 if shards else 0
    new = []
    for number, start in enumerate(range(0, len(fresh), shard_size)):
        part = [
            Video(ids[f.raw], f.raw, f.size_bytes, f.problem, f.stamp)
            for f in fresh[start : start + shard_size]
        ]
        new.append(Shard(following + number, tuple(sorted(part, key=lambda video: video.video_id))))
    for shard in ahead(partial(write_shard, store), new, store.root):
        shards.append(shard)
    return Plan(tuple(shards), (*restored, *_warnings(ids, vanished, scan)))


def _warnings(ids: Mapping[bytes, str], vanished: list[bytes], scan: Scan) -> Iterable[str]:
    kept = sorted(name for raw, name in ids.items() if name != without_suffix(display(raw)))
    if kept:
        yield (
            f"the suffix stays in {count(len(kept), 'video_id')}, because other paths differ only in the "
            f"suffix: {some(kept)}"
        )
    if vanished:
        yield (
            f"{count(len(vanished), 'input')} planned earlier no longer in {str(scan.root)!r}; rows are "
            f"kept: {some(sorted(display(raw) for raw in vanished))}"
        )
