"""A file that is written to while it is read must not become rows: half of one film, half of another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from extract.errors import MediaChanged


@contextmanager
def unchanged(path: bytes) -> Iterator[None]:
    """Around all that reads the file, from before it is opened until after the last read.

    Size and modification time tell. Not the inode: some network file systems make it up.

    Raises:
        MediaChanged: the file is another one than before, or gone; also in the place of an error
            that was met meanwhile, since damage is what a file looks like while it is copied.
    """
    before = _stamp(path)
    try:
        yield
    except Exception as error:
        _compare(path, before, error)
        raise
    _compare(path, before, None)


def _compare(path: bytes, before: tuple[int, int] | None, error: Exception | None) -> None:
    now = _stamp(path)
    if before is None or now == before:
        return  # a file that was not there in the first place is for the reader to refuse
    what = "vanished" if now is None else "changed"
    raise MediaChanged(
        f"{os.fsdecode(path)!r} {what} while it was read: run again when it is complete and no longer moves"
    ) from error


def _stamp(path: bytes) -> tuple[int, int] | None:
    """Size in bytes and time of the last change in nanoseconds; None where no file answers."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns
