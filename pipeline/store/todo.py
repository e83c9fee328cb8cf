"""What is still to do: everything that is not validly in the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial

from pipeline.storage.location import ahead
from pipeline.store.footer import Footer, VideoState
from pipeline.store.layout import Store, Target
from pipeline.store.validity import valid_footer
from pipeline.store.videos import Shard, Video


def todo(
    store: Store, shard: Shard, targets: Sequence[Target], *, retry_failed: bool = False
) -> dict[str, set[str]]:
    """The experts that each video of a shard still needs; videos that need none are left out.

    An expert is done on a video when all its tables list the video; absent is done, failed too
    unless ``retry_failed``. A video whose size changed is done again, and so is what reads an
    expert that is to be done (``targets`` must have upstream first), or one that failed only
    because an expert it reads had failed which since succeeded. Reads footers only.
    """
    found = {target.expert: states(store, shard, target) for target in targets}
    work: dict[str, set[str]] = {}
    for video in shard.videos:
        needed: set[str] = set()
        for target in targets:
            mine = found[target.expert].get(video.video_id)
            if (
                mine is None
                or _changed(video, mine)
                or needed.intersection(target.upstream)
                or _worth_retrying(mine, retry_failed, _failed(target.upstream, found, video.video_id))
            ):
                needed.add(target.expert)
        if needed:
            work[video.video_id] = needed
    return work


def todo_by_shard(
    store: Store, shards: Iterable[Shard], targets: Sequence[Target], *, retry_failed: bool = False
) -> Iterator[tuple[Shard, dict[str, set[str]]]]:
    """The same of many shards, in order; footers of a remote store are read a little ahead."""
    one = partial(todo, store, targets=targets, retry_failed=retry_failed)
    yield from ahead(lambda shard: (shard, one(shard)), shards, store.root)


def states(store: Store, shard: Shard, target: Target) -> dict[str, tuple[VideoState, ...]]:
    """How an expert's tables (in their order) stand on the videos that all of them list."""
    footers: list[Footer] = []
    for table in target.tables:
        part = store.part(table, shard=shard.index, fingerprint=target.fingerprint)
        footer = valid_footer(part, shard.members)
        if footer is None:
            return {}
        footers.append(footer)
    first, *others = footers
    return {
        video_id: tuple(footer.videos[video_id] for footer in footers)
        for video_id in first.videos
        if all(video_id in other.videos for other in others)
    }


def attempts(store: Store, shard: Shard, target: Target) -> dict[str, int]:
    """How often each video was tried so far; a retry is written with one more."""
    return {
        video_id: max(state.attempts for state in mine)
        for video_id, mine in states(store, shard, target).items()
    }


def _changed(video: Video, mine: Iterable[VideoState]) -> bool:
    """Whether the file is another one now. One that is gone or unreadable keeps what it has."""
    return video.problem is None and any(state.size_bytes != video.size_bytes for state in mine)


def _worth_retrying(mine: Iterable[VideoState], retry_failed: bool, upstream_failed: bool) -> bool:
    failures = [state.failure for state in mine if state.failure is not None]
    blamed = bool(failures) and all(failure.stage == "upstream" for failure in failures)
    return bool(failures) and (retry_failed or (blamed and not upstream_failed))


def _failed(
    upstream: Collection[str], found: Mapping[str, Mapping[str, Sequence[VideoState]]], video_id: str
) -> bool:
    """Whether an expert that this one reads is recorded as failed."""
    return any(
        state.state == "failed" for parent in upstream for state in found.get(parent, {}).get(video_id, ())
    )
