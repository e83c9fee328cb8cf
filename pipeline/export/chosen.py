"""What of a store is exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.export.folder import ExportFolder
from pipeline.report.video_tables import VideoTables, videos_of
from pipeline.store.layout import Store


@dataclass(frozen=True)
class ChosenVideos:
    """Some videos of a store, all where ``video_ids`` is None; ``progress`` gets the number done."""

    store: Store
    video_ids: frozenset[str] | None = None
    progress: Callable[[int], None] = lambda done: None

    def videos(self, *, vectors: bool = False) -> Iterator[VideoTables]:
        """One video after the other, with the vectors of its rows if wanted."""
        found = videos_of(self.store, video_ids=self.video_ids, vectors=vectors)
        for number, video in enumerate(found, 1):
            yield video
            self.progress(number)


Write = Callable[[ChosenVideos, ExportFolder], None]


def each(
    write: Callable[[VideoTables, ExportFolder], None], *, vectors: bool = False, timed: bool = False
) -> Write:
    """A format with files of its own for every video, by what writes those of one video.

    ``timed``: it knows no row that lies nowhere in time.
    """

    def write_all(chosen: ChosenVideos, folder: ExportFolder) -> None:
        for video in chosen.videos(vectors=vectors):
            before = folder.files
            if timed:
                video = video.timed()
                folder.untimed += video.untimed
            write(video, folder)
            folder.without += folder.files == before

    return write_all
