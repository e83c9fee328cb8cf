"""What lies in the videos folder: inputs, and everything else with the reason why it is not one."""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.errors import UsageError, count
from pipeline.storage.location import Location, is_odd, is_remote, storage_errors, version_of
from pipeline.storage.names import display

if TYPE_CHECKING:
    from upath import UPath

_VIDEO = """
    3g2 3gp asf avi divx dv f4v flv h264 h265 hevc ivf m1v m2t m2ts m2v m4v mj2 mjpeg mk3d mkv mov mp4 mpe
    mpeg mpg mts mxf ogm ogv qt rm rmvb ts vob webm wmv y4m
"""
_AUDIO = "aac ac3 aif aiff amr ape au caf eac3 flac m4a m4b mka mp2 mp3 oga ogg opus wav wma wv"
# A playlist is taken up so that it ends as a failure with a message: nothing it names is opened.
_PLAYLIST = "concat ffconcat m3u m3u8 mpd pls"
_HIDDEN_FOLDER = re.compile(r"(?:[^/.][^/]*/)*\.(?!\.?/)[^/]*/")
REMOVED = "removed from the store; python -m extract remove STORE --undo ID adds it again"
SUFFIXES = frozenset(f".{name}" for names in (_VIDEO, _AUDIO, _PLAYLIST) for name in names.split())


@dataclass(frozen=True, slots=True)
class Input:
    """One file to extract from; ``raw`` is its path relative to the folder, as the system has it.

    ``problem`` says why it cannot be opened (a broken link, a pipe): it ends as a failure. ``stamp`` differs
    once the file was written to: times of modification and of change, or what the storage calls its version.
    """

    raw: bytes
    size_bytes: int | None
    problem: str | None = None
    stamp: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A file or folder that is not an input, and why."""

    raw: bytes
    size_bytes: int | None
    reason: str


@dataclass(frozen=True)
class Scan:
    """Both lists are sorted by path; ``root`` is the folder that the paths are relative to.

    ``single``: one file was given, and what else lies in its folder was not looked at.
    """

    root: Location
    inputs: tuple[Input, ...]
    ignored: tuple[Ignored, ...]
    single: bool = False

    def checked(self) -> Scan:
        """Itself. Raises UsageError where there is nothing to extract from: such a run is never finished."""
        if self.inputs:
            return self
        if not self.ignored:
            raise UsageError(
                f"--videos {str(self.root)!r} is empty: is it mounted? Give a folder with videos"
            )
        other = self.ignored[0]
        raise UsageError(
            f"--videos {str(self.root)!r} holds no video or sound file, only "
            f"{count(len(self.ignored), 'other')} ({display(other.raw)!r}: {other.reason}): is it the "
            "right folder, and mounted?"
        )

    def without(self, removed: Container[str]) -> Scan:
        """The same with the inputs of these paths ignored: they were taken out of the store."""
        kept = tuple(found for found in self.inputs if display(found.raw) not in removed)
        if len(kept) == len(self.inputs):
            return self
        out = (
            Ignored(found.raw, found.size_bytes, REMOVED)
            for found in self.inputs
            if display(found.raw) in removed
        )
        ignored = sorted((*self.ignored, *out), key=lambda entry: entry.raw)
        return replace(self, inputs=kept, ignored=tuple(ignored))


def scan(videos: Location, *, out: Location | None = None) -> Scan:
    """Walk a folder (or take one file), following links; ``out``, the store, is left out.

    A folder that links lead to more than once is walked once, under its own name rather than a
    link's, so loops end. On object storage all keys below the prefix are listed. Raises UsageError
    where ``videos`` cannot be used, StoreError where the storage cannot be listed.
    """
    if not isinstance(videos, Path):
        return _scan_remote(videos, out)
    try:
        mode = os.stat(videos).st_mode
    except OSError as error:
        raise UsageError(
            f"--videos {str(videos)!r}: {error.strerror}; give a folder or a media file"
        ) from error
    if not stat.S_ISDIR(mode):
        return _one(videos, _file(os.fsencode(videos.name), os.fsencode(videos.name), os.fsencode(videos)))
    skip = _identity(os.fsencode(out)) if isinstance(out, Path) else None
    if skip is not None and skip == _identity(os.fsencode(videos)):
        raise UsageError(f"--out is the videos folder itself ({str(videos)!r}); give another folder")
    return _sorted(videos, _walk(os.fsencode(videos), skip))


def _one(videos: Location, found: Input | Ignored) -> Scan:
    if isinstance(found, Ignored):
        raise UsageError(f"--videos {str(videos)!r}: {found.reason}; give a folder or a media file")
    return Scan(videos.parent, (found,), (), single=True)


def _sorted(root: Location, found: Iterable[Input | Ignored]) -> Scan:
    everything = sorted(found, key=lambda entry: entry.raw)
    return Scan(
        root,
        tuple(entry for entry in everything if isinstance(entry, Input)),
        tuple(entry for entry in everything if isinstance(entry, Ignored)),
    )


def _scan_remote(videos: UPath, out: Location | None) -> Scan:
    skip = out.path if out is not None and is_remote(out) and out.protocol == videos.protocol else None
    if skip == videos.path:
        raise UsageError(f"--out is the videos folder itself ({str(videos)!r}); give another prefix")
    try:
        with storage_errors(videos):
            info = videos.fs.info(videos.path)
            if info["type"] == "file":
                name = videos.name.encode()
                return _one(videos, _input(name, name, info["size"], None, version_of(info)))
            return _sorted(videos, _objects(videos, skip))
    except FileNotFoundError:
        raise UsageError(
            f"--videos {str(videos)!r}: no object has this name or prefix; give a prefix or a media file"
        ) from None


def _objects(videos: UPath, skip: str | None) -> Iterator[Input | Ignored]:
    """Every object below a prefix; those of the store and of a hidden folder are told once, together."""
    base = videos.path.rstrip("/")
    told: set[str] = set()
    for entry in _listed(videos, base):
        key, is_folder = entry["name"], entry["type"] == "directory"
        size = None if is_folder else entry["size"]
        name = key[len(base) + 1 :]
        if key.endswith("/") and size == 0:
            continue  # what some tools put to show an empty folder
        hidden = _HIDDEN_FOLDER.match(name)
        if skip is not None and key.startswith(skip + "/"):
            group, reason = skip[len(base) + 1 :], "the feature store itself"
        elif hidden is not None:
            group, reason = hidden[0][:-1], "hidden"
        elif is_odd(name):
            yield Ignored(name.encode(), size, "not a valid path: an empty part, '.', '..', '::'")
            continue
        else:
            yield _input(name.encode(), name.rpartition("/")[2].encode(), size, None, version_of(entry))
            continue
        if group not in told:
            told.add(group)
            yield Ignored(group.encode(), None, reason)


def _listed(videos: UPath, base: str) -> Iterator[dict[str, Any]]:
    """Objects, folder by folder of the first level: one listing at a time is in memory."""
    for entry in videos.fs.ls(base, detail=True):
        if entry["type"] == "file" or is_odd(entry["name"][len(base) + 1 :]):
            yield entry
        else:
            yield from videos.fs.find(entry["name"], detail=True).values()


def _walk(root: bytes, skip: tuple[int, int] | None) -> Iterator[Input | Ignored]:
    """Real folders first, links to folders last, so that a folder keeps its own name."""
    seen: dict[tuple[int, int], bytes] = {}
    linked: deque[bytes] = deque()
    ready: list[bytes] = [b""]
    while ready or linked:
        relative = ready.pop() if ready else linked.popleft()
        path = os.path.join(root, relative)
        try:
            identity = _identity(path)
            if identity is not None and identity == skip:
                yield Ignored(relative, None, "the feature store itself")
                continue
            if identity in seen:
                yield Ignored(relative, None, f"the same folder as {display(seen[identity] or b'.')!r}")
                continue
            with os.scandir(path) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Ignored(relative, None, f"folder cannot be read: {error.strerror}")
            continue
        if identity is not None:
            seen[identity] = relative
        folders, links, files = _sort_out(entries)
        linked.extend(os.path.join(relative, name) for name in links)
        ready.extend(os.path.join(relative, name) for name in reversed(folders))
        for name in files:
            yield _file(os.path.join(relative, name), name, os.path.join(path, name))


def _sort_out(entries: Iterable[os.DirEntry[bytes]]) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Names of folders, of links to folders, and of everything else; hidden folders count as files."""
    folders, links, files = [], [], []
    for entry in entries:
        try:
            is_folder = entry.is_dir() and not entry.name.startswith(b".")
        except OSError:
            is_folder = False
        if not is_folder:
            files.append(entry.name)
        elif entry.is_symlink():
            links.append(entry.name)
        else:
            folders.append(entry.name)
    return folders, links, files


def _file(relative: bytes, name: bytes, path: bytes) -> Input | Ignored:
    return _input(relative, name, *look(path))


def _input(
    relative: bytes, name: bytes, size: int | None, problem: str | None, stamp: str | None
) -> Input | Ignored:
    if name.startswith(b"."):
        return Ignored(relative, size, "hidden")
    suffix = display(os.path.splitext(name)[1]).lower()
    if suffix not in SUFFIXES:
        what = f"suffix {suffix} is not that of a video or audio file" if suffix else "no suffix"
        return Ignored(relative, size, what)
    return Input(relative, size, problem, stamp)


def look(path: bytes) -> tuple[int | None, str | None, str | None]:
    """Size in bytes, what stands in the way of opening the file without harm, and its stamp."""
    try:
        found = os.stat(path)
    except OSError as error:
        link = "broken symbolic link: " if os.path.islink(path) else "cannot be looked at: "
        return None, link + (error.strerror or str(error)), None
    if not stat.S_ISREG(found.st_mode):
        return None, "not a regular file (a pipe, socket or device)", None
    if not os.access(path, os.R_OK):
        return found.st_size, "cannot be read: no permission", None
    # Whoever restores the time of modification does not restore that of the change.
    return found.st_size, None, f"{found.st_mtime_ns}-{found.st_ctime_ns}"


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
