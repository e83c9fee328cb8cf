"""Plans that were lost (a file of ``videos`` was deleted or renamed), rebuilt from the parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from extract.errors import StoreError, command, count, some
from pipeline.storage.names import ids_to_choose_from
from pipeline.storage.scan import Input, Scan
from pipeline.store.layout import Store
from pipeline.store.validity import lost_plans
from pipeline.store.videos import Shard, Video, plan_problems, write_shard


def restore_plans(store: Store, scan: Scan, shards: Sequence[Shard]) -> tuple[list[Shard], list[str]]:
    """All shards with those whose plan is lost, in order, and a warning for each of these.

    Raises StoreError where two files of the plan claim a video, or where a plan cannot be rebuilt because
    not every video of its parts is found among the inputs: any other plan would give rows twice.
    """
    for problem in plan_problems(shards):
        raise StoreError(
            f"{str(store.root)!r}: {problem}: a file of the plan does not match its name; `"
            f"{command('verify', store.root)}` names it"
        )
    planned = {video.raw for shard in shards for video in shard.videos}
    fresh = [found for found in scan.inputs if found.raw not in planned]
    made, warnings = list(shards), []
    for index, members in lost_plans(store, {shard.index for shard in shards}).items():
        made.append(write_shard(store, Shard(index, tuple(_videos(store, index, members, fresh)))))
        warnings.append(
            f"{str(store.shard_path(index))!r} was missing and has been rebuilt from the tables: "
            f"{count(len(members), 'video')}, of which measured properties are null until a new extraction"
        )
    return sorted(made, key=lambda shard: shard.index), warnings


def _videos(
    store: Store, index: int, members: Mapping[str, int | None], fresh: Sequence[Input]
) -> Iterator[Video]:
    choices: dict[str, list[Input]] = defaultdict(list)
    for found in fresh:
        for video_id in ids_to_choose_from(found.raw):
            choices[video_id].append(found)
    unknown = [video_id for video_id in sorted(members) if len(choices[video_id]) != 1]
    if unknown:
        raise StoreError(
            f"{str(store.shard_path(index))!r} is missing, and {len(unknown)} of its {len(members)} videos "
            f"({some(unknown)}) are not found exactly once among the inputs that have no plan: restore the "
            f"file from a copy, or delete all files {store.root / '*' / f'part-{index:05d}-*.parquet'!s} and "
            "run again"
        )
    for video_id in sorted(members):
        (found,) = choices[video_id]
        yield Video(video_id, found.raw, found.size_bytes, found.problem)
