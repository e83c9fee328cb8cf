"""What lies in the videos folder: inputs, and everything else with the reason why it is not one."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from extract.errors import UsageError
from pipeline.names import display

_VIDEO = """
    3g2 3gp asf avi divx dv f4v flv h264 h265 hevc ivf m1v m2t m2ts m2v m4v mj2 mjpeg mk3d mkv mov mp4 mpe
    mpeg mpg mts mxf ogm ogv qt rm rmvb ts vob webm wmv y4m
"""
_AUDIO = "aac ac3 aif aiff amr ape au caf eac3 flac m4a m4b mka mp2 mp3 oga ogg opus wav wma wv"
# A playlist is taken up so that it ends as a failure with a message: nothing it names is opened.
_PLAYLIST = "concat ffconcat m3u m3u8 mpd pls"
SUFFIXES = frozenset(f".{name}" for names in (_VIDEO, _AUDIO, _PLAYLIST) for name in names.split())


@dataclass(frozen=True, slots=True)
class Input:
    """One file to extract from; ``raw`` is its path relative to the folder, as the system has it.

    ``problem`` says why it cannot be opened (a broken link, a pipe): it ends as a failure.
    """

    raw: bytes
    size_bytes: int | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A file or folder that is no input, and why."""

    raw: bytes
    size_bytes: int | None
    reason: str


@dataclass(frozen=True)
class Scan:
    """Both lists are sorted by path; ``root`` is the folder that the paths are relative to."""

    root: Path
    inputs: tuple[Input, ...]
    ignored: tuple[Ignored, ...]


def scan(videos: Path, *, out: Path | None = None) -> Scan:
    """Walk a folder (or take one file), following links; ``out``, the store, is left out.

    A folder that links lead to more than once is walked once, under its own name rather than a
    link's, so loops end. Raises UsageError where ``videos`` cannot be used.
    """
    try:
        mode = os.stat(videos).st_mode
    except OSError as error:
        raise UsageError(
            f"--videos {str(videos)!r}: {error.strerror}; give a folder or a media file"
        ) from error
    if not stat.S_ISDIR(mode):
        found = _file(os.fsencode(videos.name), os.fsencode(videos.name), os.fsencode(videos))
        if isinstance(found, Ignored):
            raise UsageError(f"--videos {str(videos)!r}: {found.reason}; give a folder or a media file")
        return Scan(videos.parent, (found,), ())
    skip = _identity(os.fsencode(out)) if out is not None else None
    if skip is not None and skip == _identity(os.fsencode(videos)):
        raise UsageError(f"--out is the videos folder itself ({str(videos)!r}); give another folder")
    found_all = sorted(_walk(os.fsencode(videos), skip), key=lambda entry: entry.raw)
    return Scan(
        videos,
        tuple(entry for entry in found_all if isinstance(entry, Input)),
        tuple(entry for entry in found_all if isinstance(entry, Ignored)),
    )


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
    size, problem = _look(path)
    if name.startswith(b"."):
        return Ignored(relative, size, "hidden")
    suffix = display(os.path.splitext(name)[1]).lower()
    if suffix not in SUFFIXES:
        what = f"suffix {suffix} is not that of a video or audio file" if suffix else "no suffix"
        return Ignored(relative, size, what)
    return Input(relative, size, problem)


def _look(path: bytes) -> tuple[int | None, str | None]:
    """Size in bytes, and what stands in the way of opening the file without harm."""
    try:
        found = os.stat(path)
    except OSError as error:
        link = "broken symbolic link: " if os.path.islink(path) else "cannot be looked at: "
        return None, link + (error.strerror or str(error))
    if not stat.S_ISREG(found.st_mode):
        return None, "not a regular file (a pipe, socket or device)"
    if not os.access(path, os.R_OK):
        return found.st_size, "cannot be read: no permission"
    return found.st_size, None


def _identity(path: bytes) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
