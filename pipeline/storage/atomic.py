"""Files that appear whole or not at all: written beside, fsynced, renamed; or uploaded in one put."""

from __future__ import annotations

import errno
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from extract.errors import StoreError
from extract.scratch import Scratch
from pipeline.storage.inside import opened_folder, temporary_name
from pipeline.storage.location import Location, storage_errors

if TYPE_CHECKING:
    from upath import UPath

_ELSEWHERE = "give --out a folder that can be written"
CURES = {
    errno.ENOSPC: "free some space and run again; what was already written is kept",
    errno.EDQUOT: "your quota is used up: free some space and run again",
    errno.EROFS: f"the file system is read-only: {_ELSEWHERE}",
    errno.EACCES: f"no permission: {_ELSEWHERE}",
    errno.EPERM: f"no permission: {_ELSEWHERE}",
}
_TMPDIR = "free some space there, or set TMPDIR to a folder that can be written, and run again"
TMPDIR_CURES = dict.fromkeys(CURES, _TMPDIR)


@contextmanager
def atomic(
    path: Location, *, below: Location | None = None, check: Callable[[], None] | None = None
) -> Iterator[Path]:
    """A temporary local path to write to; it takes the place of ``path`` when the block ends well.

    ``below`` is the store or folder that a user named: it has to be there, folders between the two are made
    where they are missing, and none of them may be a link. Without it the user named the file's own folder.
    ``check`` raises where this process may not write (any more); it is asked before the file is made and
    again before it takes its place.

    Raises StoreError where the disk or the storage refuses (full, read-only, no permission), or for a link
    on the way.
    """
    check = check or _always
    check()
    if isinstance(path, Path):
        place = _renamed(path, below if isinstance(below, Path) else None)
    else:
        place = _uploaded(path)
    with place as temporary:
        yield temporary
        check()


def _always() -> None:
    """Nobody else is kept out: the file may be written."""


@contextmanager
def _renamed(path: Path, below: Path | None) -> Iterator[Path]:
    name = temporary_name(path.name, secrets.token_hex(4))
    try:
        if below is None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with opened_folder(below or path.parent, path.parent, create=True) as folder:
            try:
                yield path.parent / name
                _sync(name, folder)
                os.replace(
                    name, path.name, src_dir_fd=folder, dst_dir_fd=folder
                )  # of a link: the link itself
                os.fsync(folder)
            finally:
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder)
    except OSError as error:
        raise StoreError(refusal(path, error)) from error


@contextmanager
def _uploaded(path: UPath) -> Iterator[Path]:
    """A put, or a multipart upload that is completed at its end: nobody sees a part of either."""
    try:
        scratch = Scratch("upload")
    except OSError as error:
        raise StoreError(refusal(Path(tempfile.gettempdir()), error, cures=TMPDIR_CURES)) from error
    with scratch:
        temporary = scratch.path / path.name
        try:
            yield temporary
        except OSError as error:
            raise StoreError(refusal(temporary, error, cures=TMPDIR_CURES)) from error
        with storage_errors(path, "write"):
            path.fs.put_file(str(temporary), path.path)


def refusal(path: Path, error: OSError, *, cures: Mapping[int, str] = CURES) -> str:
    """One line on why the disk would not take a file, and what to do."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    cure = cures.get(error.errno or 0, "check the disk and run again; what was already written is kept")
    return f"cannot write {str(path)!r}: {reason} ({cure})"


def _sync(name: str, folder: int) -> None:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
