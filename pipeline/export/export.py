"""A store, or some of its videos, in a format of other programs."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from extract.errors import MissingDependency, UsageError, did_you_mean, to_install
from pipeline.export import Format, arrays, elan, huggingface, shards, subtitles, timelines
from pipeline.export.chosen import ChosenVideos, Write
from pipeline.export.folder import ExportFolder
from pipeline.export.names import format_named
from pipeline.storage.location import Location, location
from pipeline.store.layout import Store, open_store
from pipeline.store.videos import members_of


@dataclass(frozen=True)
class Writer:
    """What writes a format, and the modules beyond the core that it ``needs``."""

    write: Write
    needs: tuple[str, ...] = ()


# A new format is a line here and a name in `pipeline.export.Format`.
FORMATS: dict[Format, Writer] = {
    "srt": Writer(subtitles.write_srt, ("pysubs2",)),
    "vtt": Writer(subtitles.write_vtt, ("pysubs2",)),
    "csv": Writer(arrays.write_csv),
    "numpy": Writer(arrays.write_numpy),
    "eaf": Writer(elan.write_eaf, ("pympi",)),
    "otio": Writer(timelines.write_otio, ("opentimelineio.opentime",)),
    "edl": Writer(timelines.write_edl, ("opentimelineio.opentime", "otio_cmx3600_adapter")),
    "huggingface": Writer(huggingface.write_huggingface),
    "webdataset": Writer(shards.write_webdataset, ("webdataset",)),
}


@dataclass(frozen=True)
class Exported:
    """``videos`` were looked at, ``without`` of them had nothing for this format.

    ``untimed`` rows lie nowhere in time, and are in no format that is about time.
    """

    folder: Path
    videos: int
    without: int
    files: int
    bytes: int
    untimed: int = 0


def export(
    store: Store | Location | str | os.PathLike[str],
    to: str,
    out: str | os.PathLike[str],
    *,
    video_ids: Collection[str] = (),
    progress: Callable[[int], None] | None = None,
) -> Exported:
    """Write a store into the folder ``out``.

    Args:
        store: a feature store; it is only read.
        to: one of ``FORMATS``, or another name of it (``elan``).
        out: a new or empty folder, or one with an older export in this format, whose files are replaced.
        video_ids: these videos alone; none: all.
        progress: is called with the number of videos done.

    Raises UsageError for an unknown format or video, StoreError for a store or folder that cannot be used,
    MissingDependency where the format's library is not installed; whatever is refused leaves nothing.
    """
    to = format_named(to)
    _check_installed(to)
    store = store if isinstance(store, Store) else open_store(location(store))
    chosen = frozenset(_known(store, video_ids)) if video_ids else None
    folder, done = ExportFolder(Path(out), to), [0]

    def count(videos: int) -> None:
        done[0] = videos
        if progress is not None:
            progress(videos)

    FORMATS[to].write(ChosenVideos(store, chosen, count), folder)
    return Exported(folder.root, done[0], folder.without, folder.files, folder.bytes, folder.untimed)


def _check_installed(to: Format) -> None:
    for module in FORMATS[to].needs:
        try:
            importlib.import_module(module)
        except ImportError as error:
            package = module.partition(".")[0]
            raise MissingDependency(f"an export to {to} needs {package}: {to_install('export')}") from error


def _known(store: Store, video_ids: Collection[str]) -> Collection[str]:
    known = frozenset[str]().union(*(members_of(store) or {}).values())
    for name in video_ids:
        if name not in known:
            raise UsageError(f"{str(store.root)!r} has no video {name!r}{did_you_mean(name, known)}")
    return video_ids
