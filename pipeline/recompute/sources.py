"""The drawn videos as files here: as they are now, or why they are not what was extracted."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pipeline.storage.content import content_digest
from pipeline.storage.location import Location, is_remote, join
from pipeline.storage.scan import look
from pipeline.store.videos import Video
from pipeline.work.fetching import Fetcher


@dataclass(frozen=True)
class SourceVideo:
    """``path`` is None where the file cannot be run: ``problem`` says why."""

    video_id: str
    path: bytes | None
    problem: str = ""


class SourceVideos:
    """Gives each video once. Copies of remote ones are fetched a few ahead, until they are released.

    ``digests``: by ``video_id`` the :func:`pipeline.storage.content.content_digest` of what was extracted, as
    far as it is known.
    """

    def __init__(self, root: Location, videos: Sequence[Video], digests: Mapping[str, str]) -> None:
        self._root, self._videos, self._digests = root, videos, digests
        self._stack = ExitStack()
        self._fetcher = self._stack.enter_context(Fetcher()) if is_remote(root) else None

    def __enter__(self) -> SourceVideos:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[SourceVideo | None]:
        """None while the next one is on its way."""
        if isinstance(self._root, Path):
            yield from (self._unchanged(_local(self._root, video)) for video in self._videos)
        elif self._fetcher is not None:
            yield from self._fetched(self._fetcher)

    def release(self, video_id: str) -> None:
        """This video is done with."""
        if self._fetcher is not None:
            self._fetcher.release(video_id)

    def _fetched(self, fetcher: Fetcher) -> Iterator[SourceVideo | None]:
        for video in self._videos:
            fetcher.request(video.video_id, join(self._root, video.raw), video.size_bytes)
        waiting = deque(video.video_id for video in self._videos)
        while waiting:
            error, copy = fetcher.error(waiting[0]), fetcher.ready(waiting[0])
            if error is not None:
                fetcher.release(waiting[0])
                yield SourceVideo(waiting.popleft(), None, str(error))
            elif copy is not None:
                source = self._unchanged(SourceVideo(waiting.popleft(), bytes(copy)))
                if source.path is None:
                    fetcher.release(source.video_id)
                yield source
            else:
                yield None

    def _unchanged(self, source: SourceVideo) -> SourceVideo:
        """The same, or a problem where the file has other contents than the one that was extracted."""
        digest = self._digests.get(source.video_id)
        if source.path is None or digest is None:
            return source
        place = Path(os.fsdecode(source.path))
        if content_digest(place, place.stat().st_size) == digest:
            return source
        return SourceVideo(source.video_id, None, "the file has changed since: same size, different contents")


def _local(root: Path, video: Video) -> SourceVideo:
    path = os.path.join(os.fsencode(root), video.raw)
    if not os.path.lexists(path):
        return SourceVideo(video.video_id, None, "the file is gone")
    size, problem, _ = look(path)
    if size != video.size_bytes:
        return SourceVideo(
            video.video_id, None, f"the file has changed since: {video.size_bytes} bytes then, {size} now"
        )
    if problem is not None:
        return SourceVideo(video.video_id, None, problem)
    return SourceVideo(video.video_id, path)
