"""The pages of a store as a folder of static files: no server, no network, opened by a double click."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from extract.errors import MediaError, StoreError, not_allowed
from pipeline.about.summary import Summary, summarise
from pipeline.copies.copied_film import copy_film
from pipeline.pages.colours import colours_js
from pipeline.pages.pieces import write_piece
from pipeline.report import Media
from pipeline.report.corpus import corpus_json, lines_of, state_of
from pipeline.report.film import film_json
from pipeline.report.lanes import Scores
from pipeline.report.posters import TABLE, poster
from pipeline.report.video_tables import VideoTables, videos_of
from pipeline.storage.location import Location, location
from pipeline.store.layout import Store, open_store
from pipeline.store.videos import film_path, films_root

Genres = Callable[[str], Scores | None]  # of a video_id: scores of each genre over time

VIDEOS_OF_A_PIECE = 100
_FOLDERS = ("data", "media", "assets")
_MARK = "marquee-report.txt"  # a folder with this file is a report, and may be written again
_MARK_TEXT = "These pages were written by `marquee report` and are replaced by it. Open index.html.\n"


@dataclass(frozen=True)
class WrittenReport:
    """``index``: the page to open.

    ``damaged_pictures`` are shown grey, ``untimed_rows`` not at all (:meth:`VideoTables.timed`).
    ``refused_films``: videos whose records name other files than films in the videos folder.
    ``damaged_parts``: a line on each part of the store that cannot be read, and is shown as still to do.
    """

    index: Path
    videos: int
    bytes: int
    damaged_pictures: int = 0
    untimed_rows: int = 0
    refused_films: tuple[str, ...] = ()
    damaged_parts: tuple[str, ...] = ()


def report(
    store: Store | Location | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    media: Media = "link",
    genres: Genres | None = None,
    progress: Callable[[int], None] | None = None,
) -> WrittenReport:
    """Write the pages of a store into the folder ``out``: ``index.html`` and a page for each video.

    Args:
        store: a feature store; it is only read.
        out: a new or empty folder, or one with an older report, which is replaced.
        media: how a page reaches its film: ``link`` to where it lies, ``copy`` into ``out``, or ``none``.
        genres: gives a model's scores of a video shot by shot, which its page then shows.
        progress: is called with the number of videos done.

    Raises UsageError for another kind of media, StoreError for a store or a folder that cannot be used.
    """
    if media not in get_args(Media):
        raise not_allowed("--media", media, get_args(Media))
    store = store if isinstance(store, Store) else open_store(location(store))
    folder = Path(out)
    _check_folder(folder)
    summary = summarise(store)  # a store that cannot be read is refused before anything is written or removed
    _make_folder(folder)
    site = _Site(folder, store, media, genres)
    parts: list[str] = []
    for number, video in enumerate(videos_of(store, damaged=lambda error: parts.append(str(error)))):
        site.add(number, video)
        if progress is not None:
            progress(number + 1)
    count = site.finish(summary)
    written = sum(path.stat().st_size for path in folder.rglob("*.js"))
    return WrittenReport(
        index=folder / "index.html",
        videos=count,
        bytes=written,
        damaged_pictures=site.damaged_pictures,
        untimed_rows=site.untimed_rows,
        refused_films=tuple(site.refused_films),
        damaged_parts=tuple(parts),
    )


def _check_folder(folder: Path) -> None:
    with _refused(folder):
        if not os.path.lexists(folder) or not any(folder.iterdir()):
            return
        if not (folder / _MARK).is_file():
            raise StoreError(
                f"--out {str(folder)!r} has files that are not a report: give a new or empty folder"
            )
        for name in _FOLDERS:
            if (folder / name).is_symlink():
                raise StoreError(f"{str(folder / name)!r} is a link; remove it, or give another folder")


def _make_folder(folder: Path) -> None:
    """The folder without the pages of an older report."""
    with _refused(folder):
        for name in _FOLDERS:
            shutil.rmtree(folder / name, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _MARK).write_text(_MARK_TEXT, "utf-8")


@contextmanager
def _refused(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"--out {str(folder)!r} cannot be written: {error.strerror}") from error


class _Site:
    def __init__(self, folder: Path, store: Store, media: Media, genres: Genres | None) -> None:
        self.folder, self.store, self.media, self.genres = folder, store, media, genres
        self.root = films_root(store)
        self.damaged_pictures = self.untimed_rows = 0
        self.refused_films: list[str] = []
        self._ids: list[str] = []
        self._states: list[dict[str, Any]] = []
        self._posters: list[str | None] = []
        self._lines: list[list[Any]] = []

    def add(self, number: int, video: VideoTables) -> None:
        video = video.timed()
        self.untimed_rows += video.untimed
        genres = self.genres(video.video_id) if self.genres is not None else None
        film = film_json(video, media=self._film_address(number, video), genres=genres)
        write_piece(self.folder / "data", f"films/{number:06d}", {"number": number, **film})
        pictures = video.tables.get(TABLE)
        self.damaged_pictures += film["stills"]["damaged"] if film["stills"] else 0
        self._posters.append(None if pictures is None else poster(pictures))
        self._lines += [[number, *line] for line in lines_of(video)]
        if (number + 1) % VIDEOS_OF_A_PIECE == 0:
            self._flush(number // VIDEOS_OF_A_PIECE)
        self._ids.append(video.video_id)
        self._states.append(state_of(film["failures"], partial=film["partial"], waiting=not video.states))

    def _flush(self, piece: int) -> None:
        write_piece(self.folder / "data", f"posters/{piece:04d}", self._posters)
        write_piece(self.folder / "data", f"lines/{piece:04d}", self._lines)
        self._posters, self._lines = [], []

    def finish(self, summary: Summary) -> int:
        """What is known once all videos are: the corpus, then the pages, the first page last."""
        count = len(self._ids)
        if self._posters:
            self._flush((count - 1) // VIDEOS_OF_A_PIECE)
        corpus = corpus_json(self.store.root.name, summary, self._ids, self._states)
        corpus |= {"pieces": -(-count // VIDEOS_OF_A_PIECE), "videos_of_a_piece": VIDEOS_OF_A_PIECE}
        write_piece(self.folder / "data", "corpus", corpus)
        for name, content in _assets():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        return count

    def _film_address(self, number: int, video: VideoTables) -> str | None:
        """Relative, so that the folder may move together with the films; None where there is no film."""
        if self.media == "none" or self.root is None:
            return None
        try:
            path = film_path(self.root, video.raw_path)
            if path is None:
                return None
            if self.media == "copy":
                film, path = path, self.folder / "media" / f"{number:06d}{path.suffix}"
                copy_film(film, self.root, path)
        except MediaError:
            self.refused_films.append(video.video_id)
            return None
        relative = os.path.relpath(path.resolve(), self.folder.resolve())
        return "./" + quote(os.fsencode(relative))


def _assets() -> Iterator[tuple[str, bytes]]:
    """Name and content of each file that every report has; the first page comes last."""
    yield "assets/colours.js", colours_js().encode()
    for name in ("page.css", "page.js"):
        yield f"assets/{name}", (files("pipeline.pages") / name).read_bytes()
    for folder in ("vendor", "assets"):
        own = files("pipeline.report") / folder
        for path in sorted(own.iterdir(), key=lambda path: path.name == "index.html"):
            place = path.name if path.name.endswith(".html") else f"assets/{path.name}"
            yield place, path.read_bytes()
