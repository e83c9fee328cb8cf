"""Folders for what a process needs on the disk while it lives; those of killed ones go at the next chance.

A folder is held by a lock of the operating system on a file in it, which ends with its process however
that ends, and which also tells the living from the dead where process numbers do not (containers that
share a disk).
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

PREFIX = "marquee-"
HELD = ".held"
_NAME = re.compile(r"marquee-[a-z]+-[a-z0-9_]{8}")  # as mkdtemp makes them


class Scratch:
    """A new folder ``marquee-<purpose>-...`` in ``parent`` (default: TMPDIR), gone after :meth:`close`.

    Making one removes what killed processes of this user left beside it. Raises OSError where it cannot be.
    """

    def __init__(self, purpose: str, *, parent: Path | None = None) -> None:
        sweep(parent or Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-", dir=parent))
        try:
            self._lock: int | None = _lock(self.path)
        except OSError:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep(parent: Path) -> None:
    """Remove scratch folders of this user whose process is no more; links and folders of others stay."""
    with suppress(OSError):
        for folder in parent.glob(f"{PREFIX}*"):
            with suppress(OSError):
                found = folder.lstat()
                if _NAME.fullmatch(folder.name) and stat.S_ISDIR(found.st_mode) and _is_mine(found):
                    _remove_abandoned(folder / HELD)


def _is_mine(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid()


def _lock(folder: Path) -> int:
    """Hold the folder; the file gets its name once it is locked, so nobody finds it free before."""
    fresh = folder / f"{HELD}.new"
    descriptor = os.open(fresh, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fresh.rename(folder / HELD)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_abandoned(held: Path) -> None:
    descriptor = os.open(held, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if not (stat.S_ISREG(found.st_mode) and found.st_size == 0 and _is_mine(found)):
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its process lives
        shutil.rmtree(held.parent, ignore_errors=True)
    finally:
        os.close(descriptor)
