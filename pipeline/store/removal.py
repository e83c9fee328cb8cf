"""Videos out of a store: their rows of every table and fingerprint, and the videos themselves."""

from __future__ import annotations

import fnmatch
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from extract.errors import UsageError, command, count, did_you_mean, some
from pipeline.store.coverage import write_derived
from pipeline.store.layout import PartFile, Store
from pipeline.store.parts import drop_from_part
from pipeline.store.seen import book_inputs
from pipeline.store.validity import valid_footer
from pipeline.store.videos import Shard, read_shards, remove_videos


def remove(store: Store, wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take videos out; the ids that were taken out now, and those that were out already.

    ``wanted``: ids, paths, or patterns such as ``trailers/*``. What is to go is written down first, so a
    removal that was cut off goes on with the same call, or with the next run; later runs leave these files
    alone (:func:`take_back`). To be called under the store's lock. Raises UsageError for names that the store
    does not have, and then nothing is removed.
    """
    shards = read_shards(store)
    paths = {video.video_id: video.path for shard in shards for video in shard.videos}
    removed = store.removed()
    known = {video_id: path for path, video_id in removed.items()} | paths
    chosen = _chosen(wanted, known)
    now = [video_id for video_id in chosen if video_id in paths]
    if now:
        store.record_removed(removed | {paths[video_id]: video_id for video_id in now})
    finish_removal(store, shards)
    return now, [video_id for video_id in chosen if video_id not in paths]


def take_back(store: Store, wanted: Sequence[str]) -> list[str]:
    """Let the next run add removed videos again, as new ones. Raises UsageError for what was not."""
    removed = store.removed()
    chosen = _chosen(wanted, {video_id: path for path, video_id in removed.items()})
    store.record_removed({path: name for path, name in removed.items() if name not in chosen})
    return chosen


def finish_removal(store: Store, shards: Iterable[Shard]) -> None:
    """Take out what is written down as removed and still in the plan, if any: rows first, ids last."""
    removed = store.removed()
    by_shard = {
        shard.index: {video.video_id for video in shard.videos if video.path in removed} for shard in shards
    }
    by_shard = {index: video_ids for index, video_ids in by_shard.items() if video_ids}
    if not by_shard:
        return
    drop_rows(store, by_shard)
    write_derived(store, read_shards(store), store.targets())
    for index, video_ids in by_shard.items():
        remove_videos(store, index, video_ids)
        book_inputs(store, index, {}, forget=video_ids)


def drop_rows(store: Store, video_ids: Mapping[int, Collection[str]]) -> None:
    """Take the rows of these videos, by shard, out of all parts, those of older fingerprints too."""
    for index, parts in parts_by_shard(store).items():
        for part in parts if index in video_ids else ():
            drop_from_part(store, part, video_ids[index])


def with_rows(store: Store, video_ids: Mapping[int, Collection[str]]) -> set[str]:
    """Those of the videos, by shard, that some table has rows of."""
    found: set[str] = set()
    for index, parts in parts_by_shard(store).items() if video_ids else ():
        for part in parts if index in video_ids else ():
            footer = valid_footer(part, None)
            states = {} if footer is None else footer.videos
            found.update(name for name in video_ids[index] if name in states and states[name].rows)
    return found


def parts_by_shard(store: Store) -> Mapping[int, list[PartFile]]:
    found: dict[int, list[PartFile]] = defaultdict(list)
    for table in store.tables():
        for part in store.parts(table):
            found[part.shard].append(part)
    return found


def _chosen(wanted: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """The ids that are meant, by id, by path or by pattern; names in either form of Unicode."""
    by_name = {_normal(path): video_id for video_id, path in known.items()}
    by_name |= {_normal(video_id): video_id for video_id in known}
    chosen: dict[str, None] = {}
    missing = []
    for name in map(_normal, wanted):
        found = [by_name[name]] if name in by_name else _matching(name, by_name)
        chosen |= dict.fromkeys(found)
        if not found:
            missing.append(name)
    if missing:
        near = did_you_mean(missing[0], known) or f"; {command('status', 'STORE')} shows how many there are"
        raise UsageError(
            f"the store has no video {some(missing)} ({len(missing)} of {count(len(wanted), 'name')} "
            f"unknown, nothing was removed){near}"
        )
    return list(chosen)


def _matching(pattern: str, by_name: Mapping[str, str]) -> list[str]:
    if not set("*?[") & set(pattern):
        return []
    return [by_name[name] for name in fnmatch.filter(by_name, pattern)]


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)
