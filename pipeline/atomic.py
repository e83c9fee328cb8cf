"""Files that appear whole or not at all: written beside, fsynced, renamed."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from extract.errors import StoreError

TEMPORARY = ".tmp-"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path to write to; it takes the place of ``path`` when the block ends well.

    The temporary name does not end in the final suffix, so that no reader's ``*.parquet`` sees it.
    Raises StoreError where the disk refuses (full, read-only, no permission).
    """
    # A name may be as long as the file system allows; this one must not be longer.
    temporary = path.parent / f"{TEMPORARY}{path.name[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            _sync(path.parent.parent)
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    except OSError as error:
        raise StoreError(refusal(path, error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def refusal(path: Path, error: OSError) -> str:
    """One line on why the disk would not take a file, and what to do."""
    cures = {
        errno.ENOSPC: "free some space and run again; what was already written is kept",
        errno.EDQUOT: "your quota is used up: free some space and run again",
        errno.EROFS: "the file system is read-only: give --out a folder that can be written",
        errno.EACCES: "no permission: give --out a folder that can be written",
        errno.EPERM: "no permission: give --out a folder that can be written",
    }
    reason = os.strerror(error.errno) if error.errno else str(error)
    cure = cures.get(error.errno or 0, "check the disk and run again; what was already written is kept")
    return f"cannot write {str(path)!r}: {reason} ({cure})"


def remove_temporary(root: Path) -> int:
    """Delete what killed runs left half-written; only to be called under the store's lock."""
    stale = [*root.glob(f"{TEMPORARY}*"), *root.glob(f"*/{TEMPORARY}*")]
    for path in stale:
        with suppress(OSError):
            path.unlink()
    return len(stale)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
