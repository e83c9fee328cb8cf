"""Files below a folder that someone named, and nowhere else: no link below it is ever followed.

The folder itself may be a link, because its owner named it. What lies below is reached name by name, from
the opened folder down (``openat`` with ``O_NOFOLLOW``), so a link that is put there later is refused as well.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from extract.errors import StoreError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_TEMPORARY = re.compile(r"\.tmp-(?P<target>.{1,40})-\d+-[0-9a-f]+", re.DOTALL)


def temporary_name(name: str, unique: str) -> str:
    """What a file is called until it is whole; it ends in no suffix, so no reader's ``*.parquet`` sees it."""
    return f".tmp-{name[:40]}-{os.getpid()}-{unique}"  # a name may be as long as the file system allows


def target_of(name: str) -> str | None:
    """The file (its first 40 characters) that a temporary one was to become; None for all other names."""
    match = _TEMPORARY.fullmatch(name)
    return None if match is None else match["target"]


@contextmanager
def opened_folder(root: Path, folder: Path, *, create: bool = False) -> Iterator[int]:
    """A descriptor of ``folder``, which is ``root`` or lies below it; with ``create`` it is made there.

    ``root`` is never made. Raises StoreError where it is gone and for a link on the way, OSError.
    """
    try:
        descriptor = os.open(root, _FOLDER)
    except FileNotFoundError as error:
        raise StoreError(
            f"cannot write below {str(root)!r}, which is gone: it was removed, or its disk unmounted; run "
            "again to start over"
        ) from error
    try:
        place = root
        for name in folder.relative_to(root).parts:
            place /= name
            if create and _made(name, descriptor):
                os.fsync(descriptor)
            below = _opened(place, name, descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _made(name: str, parent: int) -> bool:
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        return False
    return True


def _opened(place: Path, name: str, parent: int) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and place.is_symlink():
            raise StoreError(link_refusal(place)) from error
        raise


def link_refusal(place: object) -> str:
    """One line on a link where a file or folder of ours should be."""
    return (
        f"{str(place)!r} is a link, and writing through it would write elsewhere: replace it by the file or "
        "folder itself, or delete the link"
    )


def open_own(root: Path, name: str) -> int:
    """Open or make the file ``root / name`` for reading and writing. Raises StoreError, OSError.

    A link, a second name of a file elsewhere (a hard link), a pipe or a folder is refused.
    """
    place = root / name
    with opened_folder(root, root) as folder:
        try:
            descriptor = os.open(
                name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666, dir_fd=folder
            )
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StoreError(link_refusal(place)) from error
            raise
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    what = "has another name elsewhere (a hard link)" if stat.S_ISREG(found.st_mode) else "is not a file"
    raise StoreError(f"{str(place)!r} {what}, so it is left unchanged: delete it and run again")


def remove_files(root: Path, folder: Path, ours: Callable[[str], bool]) -> int:
    """Delete the regular files of a folder whose names are ``ours``; links and all else stay. How many."""
    removed = 0
    try:
        with opened_folder(root, folder) as descriptor:
            for name in os.listdir(descriptor):
                if ours(name):
                    with suppress(OSError):
                        removed += _removed(name, descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return removed
    return removed


def _removed(name: str, folder: int) -> bool:
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return False
    os.unlink(name, dir_fd=folder)
    return True
