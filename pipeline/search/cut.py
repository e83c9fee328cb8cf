"""Moments that a search found, each cut out of its film as a file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from extract.errors import MediaError, StoreError, clock
from extract.tables import is_time
from pipeline.copies.stretch import copy_stretch, encode_stretch
from pipeline.search.hits import Answer, Hit
from pipeline.search.shots import Shots
from pipeline.storage.atomic import atomic
from pipeline.storage.names import relative_file
from pipeline.store.layout import Store
from pipeline.store.reading import read
from pipeline.store.videos import film_path, films_root

LONGEST_SECONDS = 10.0  # of a shot, before and after the moment
_AROUND_SECONDS = 2.0  # of a moment whose shots are not known


@dataclass(frozen=True)
class Cuts:
    """How many clips were written, and why each of the others was not."""

    written: int
    refused: tuple[str, ...]


def cut_out(
    store: Store,
    answers: Sequence[Answer],
    shots: Mapping[str, Shots],
    folder: Path,
    *,
    encode: bool = False,
) -> Cuts:
    """Write a clip of each hit into ``folder``: QUERY-RANK_VIDEO_FROM-TO.mkv, or .mp4 with ``encode``.

    ``shots``: :func:`pipeline.search.shots.shots_of` the hits' videos.
    A clip is the hit's shots (:func:`stretch_of`); hits of one query in the same shots share one. A file that
    is there already is left as it is. Raises StoreError for a folder that cannot be written.
    """
    hits = [hit for answer in answers for hit in answer.hits]
    root, records = films_root(store), _records_of(store, hits)
    written, refused = 0, []
    for query, rank, hit, start, end in _stretches(answers, shots):
        suffix = ".mp4" if encode else ".mkv"
        video = relative_file(hit.video_id).replace("/", "-")
        target = folder / f"{query}-{rank:03d}_{video}_{start:.2f}-{end:.2f}{suffix}"
        try:
            film = film_path(root, records[hit.video_id])
            if film is None:
                raise MediaError("its film is not there")
            if not (is_time(start) and is_time(end)):
                raise MediaError(f"no film has such a time ({start} to {end} s)")
            if target.exists() or target.is_symlink():
                raise MediaError(f"{str(target)!r} is there already: move it away to cut it again")
            with atomic(target) as temporary:
                (encode_stretch if encode else copy_stretch)(film, temporary, start, end)
            written += 1
        except MediaError as error:
            refused.append(f"{hit.video_id} at {clock(hit.start_seconds, 1)} is not cut: {error}")
    return Cuts(written, tuple(refused))


def stretch_of(hit: Hit, shots: Shots) -> tuple[float, float]:
    """From the beginning of the shot in which a hit begins to the end of that in which it ends.

    Of a long shot no more than ten seconds before and after; where no shots are known, two seconds.
    """
    first, last = shots.at(hit.start_seconds), shots.at(hit.end_seconds, before=True)
    if first is None or last is None:
        return max(0.0, hit.start_seconds - _AROUND_SECONDS), hit.end_seconds + _AROUND_SECONDS
    start = max(shots.starts[first], hit.start_seconds - LONGEST_SECONDS)
    end = min(shots.ends[last], hit.end_seconds + LONGEST_SECONDS)
    return min(start, hit.start_seconds), max(end, hit.end_seconds)


def _stretches(
    answers: Sequence[Answer], shots: Mapping[str, Shots]
) -> Iterator[tuple[int, int, Hit, float, float]]:
    """Number of the query, rank of the hit in it, and what to cut; the same stretch once for each query."""
    for query, answer in enumerate(answers, 1):
        known = set()
        for rank, hit in enumerate(answer.hits, 1):
            start, end = stretch_of(hit, shots.get(hit.video_id, Shots()))
            if (hit.video_id, start, end) not in known:
                known.add((hit.video_id, start, end))
                yield query, rank, hit, start, end


def _records_of(store: Store, hits: Sequence[Hit]) -> dict[str, bytes]:
    """Where the film of each hit lies below the root of all, as the store says."""
    names = {hit.video_id for hit in hits}
    if not names:
        return {}
    rows = read(store, "videos", columns=["video_id", "path", "path_bytes"], video_ids=names).to_pylist()
    return {row["video_id"]: row["path_bytes"] or row["path"].encode() for row in rows}


def check_folder(folder: Path) -> None:
    """Raises StoreError where it cannot be written, before anything is sought; the first clip makes it."""
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = errno.EACCES if there.is_dir() else errno.ENOTDIR
        raise StoreError(f"--cut {str(folder)!r} cannot be written: {os.strerror(why)}")
