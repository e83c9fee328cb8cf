"""Whether the videos folder is the one that the store was made from, and which files have changed."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from extract.errors import UsageError, command, count, some
from pipeline.storage.content import content_digest
from pipeline.storage.location import Location, ahead, join, location
from pipeline.storage.names import display
from pipeline.storage.scan import Input, Scan
from pipeline.store.layout import Store
from pipeline.store.removal import drop_rows, with_rows
from pipeline.store.seen import Seen, book_inputs, seen_inputs
from pipeline.store.videos import Shard, Video, read_shards, replace_videos

MOST = 0.5  # of two or more known inputs: when more are gone, it is not taken for the store's folder
CHANGING = "changing"  # in place of the digest of a file that was written to before it was extracted


@dataclass(frozen=True)
class Changed:
    """An input that is not what was extracted, and what tells; ``unsettled``: it was not even then."""

    size_bytes: int | None
    seen: Seen
    why: str
    unsettled: bool = False


@dataclass
class Comparison:
    """What a scan found against what the store knows; reading it writes nothing.

    Attributes:
        root, known_root: the folder that was scanned, and the store's; None where the store has none.
        known, same, gone: inputs of which the store has a size; those there with it; those not there.
        changed: inputs that have changed, by shard and ``video_id``.
        with_rows: those that the store has rows of, which were the file's when they were made.
        seen: what is to be written down of the unchanged.
    """

    store: Store
    root: str | None
    known_root: str | None
    single: bool
    known: int = 0
    same: int = 0
    gone: list[str] = field(default_factory=list)
    changed: dict[int, dict[str, Changed]] = field(default_factory=lambda: defaultdict(dict))
    with_rows: set[str] = field(default_factory=set)
    seen: dict[int, dict[str, Seen]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def reasons(self) -> dict[str, str]:
        """Why each changed input is extracted again, by ``video_id``."""
        return {name: one.why for videos in self.changed.values() for name, one in sorted(videos.items())}

    def refuse(self, *, new_root: bool, replace_changed: bool) -> None:
        """Raise UsageError where the user has to say that this is meant; all that is wrong in one line."""
        problems = [] if new_root else [*self._root_problems()]
        if self.with_rows and not replace_changed:
            told = [f"{name!r} ({self.reasons[name]})" for name in sorted(self.with_rows)]
            shown = ", ".join(told[:5]) + (", ..." if len(told) > 5 else "")
            problems.append(
                f"{count(len(told), 'input has', 'inputs have')} changed since: {shown}; "
                "--replace-changed extracts again in place of the old rows"
            )
        if problems:
            raise UsageError(f"store {str(self.store.root)!r}: {'; '.join(problems)}. Nothing was written")

    def _root_problems(self) -> Iterator[str]:
        if self.root is not None and self.known_root is not None and self.known_root != self.root:
            yield self._another_root(self.root, self.known_root)
        elif len(self.gone) > MOST * self.known and self.known > 1 and not self.single:
            yield (
                f"{len(self.gone)} of its {count(self.known, 'known input')} gone from {self.root!r} "
                f"({some(self.gone)}): is the folder fully mounted? --new-root continues without them, "
                f"{command('remove', self.store.root)} ID... removes them"
            )

    def _another_root(self, root: str, known: str) -> str:
        what = f"it was made from the videos of {known!r}, not of {root!r}"
        if root.startswith(known.rstrip("/") + "/"):
            return f"{what}, a subfolder of it: give --videos {known!r}, or another --out"
        if known.startswith(root.rstrip("/") + "/"):
            return f"{what}, which contains it: give --videos {known!r}, or another --out"
        there = f"{self.same} of {count(self.known, 'known input')} there with the same size"
        return f"{what} ({there}): if the folder has moved, add --new-root; if not, give another --out"

    def apply(self) -> None:
        """Write down how inputs look now, and drop the rows of those that changed.

        The rows go first, and what is known of the file last: a run that is killed between finds the change
        again.
        """
        drop_rows(self.store, self.changed)
        for shard in sorted({*self.changed, *self.seen}):
            changed = self.changed.get(shard, {})
            if changed:
                replace_videos(self.store, shard, {name: one.size_bytes for name, one in changed.items()})
            seen = {name: one.seen for name, one in changed.items()}
            book_inputs(self.store, shard, seen | self.seen.get(shard, {}))


def compare(found: Scan, store: Store, shards: Sequence[Shard]) -> Comparison:
    """Hold a scan against the planned ``shards``; reads of files only those that were touched."""
    result = Comparison(store, root_name(found.root), store.videos_root, found.single)
    present = {entry.raw: entry for entry in found.inputs}
    look = partial(_look_at, result, present, found.root)
    seen_by_shard = ahead(lambda shard: seen_inputs(store, shard.index), shards, store.root)
    for shard, seen in zip(shards, seen_by_shard, strict=True):
        look(shard, seen)
    unsettled = {name for videos in result.changed.values() for name, one in videos.items() if one.unsettled}
    result.with_rows = with_rows(store, result.changed) - unsettled
    return result


def as_stored(store: Store) -> tuple[Scan, Comparison]:
    """What a run that looks at no file takes for granted: every planned video is there, and as it was."""
    inputs = [Input(v.raw, v.size_bytes) for shard in read_shards(store) for v in shard.videos]
    root = store.videos_root
    found = Scan(location(root or "."), tuple(sorted(inputs, key=lambda entry: entry.raw)), ())
    return found, Comparison(store, root, root, single=False)


def root_name(root: Location) -> str:
    """How a folder is written down: the same for every way to name it."""
    return display(os.fsencode(root.resolve())) if isinstance(root, Path) else str(root)


def record_inputs(store: Store, root: Location, shard: Shard) -> None:
    """Write down how the inputs of a shard look of which nothing is known; to be called before decoding."""
    seen = seen_inputs(store, shard.index)
    new = [
        video
        for video in shard.videos
        if video.problem is None and seen.get(video.video_id, Seen()).digest is None
    ]
    digests = dict(zip((v.video_id for v in new), _digests(root, new), strict=True))
    digests |= {video.video_id: CHANGING for video in new if _is_changing(root, video)}
    stamps = {video.video_id: video.stamp for video in new}
    book_inputs(
        store, shard.index, {name: Seen(stamps[name], digest) for name, digest in digests.items() if digest}
    )


def _look_at(
    result: Comparison, present: Mapping[bytes, Input], root: Location, shard: Shard, seen: Mapping[str, Seen]
) -> None:
    touched = []
    for video in shard.videos:  # a size of None: it could not be read, or its rows were imported
        entry = present.get(video.raw)
        result.known += video.size_bytes is not None
        if entry is None:
            if video.size_bytes is not None:
                result.gone.append(video.path)
            continue
        if entry.problem is not None or entry.size_bytes is None:
            continue  # what the store has of it stays
        before = seen.get(video.video_id, Seen())
        if before.digest == CHANGING:
            why = "it was written to while it was extracted"
            result.changed[shard.index][video.video_id] = Changed(
                entry.size_bytes, Seen(), why, unsettled=True
            )
            continue
        if video.size_bytes not in (None, entry.size_bytes):
            why = f"{entry.size_bytes} bytes, previously {video.size_bytes}"
            result.changed[shard.index][video.video_id] = Changed(entry.size_bytes, Seen(), why)
            continue
        result.same += video.size_bytes is not None
        if before.digest is not None and before.stamp != entry.stamp:
            touched.append(video)
    for video, digest in zip(touched, _digests(root, touched), strict=True):
        now = Seen(present[video.raw].stamp, digest)
        if digest is None:
            continue  # it cannot be read now, so nothing is known of it
        if digest == seen[video.video_id].digest:
            result.seen[shard.index][video.video_id] = now
        else:
            why = "different contents of the same size"
            result.changed[shard.index][video.video_id] = Changed(video.size_bytes, now, why)


def _digests(root: Location, videos: Collection[Video]) -> Iterator[str | None]:
    yield from ahead(lambda v: content_digest(join(root, v.raw), v.size_bytes or 0), videos, root)


def _is_changing(root: Location, video: Video) -> bool:
    """Whether a local file is no longer what was planned; of a remote one the copy's size is checked."""
    try:
        return isinstance(root, Path) and video.file(root).stat().st_size != video.size_bytes
    except OSError:
        return False
