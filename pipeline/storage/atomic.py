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
from pipeline.storage.location import Location, is_remote, storage_errors

if TYPE_CHECKING:
    from upath import UPath

TEMPORARY = ".tmp-"

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

# Remote stores that this process holds by a lease; the check raises once another run has it.
LEASES: dict[str, Callable[[], None]] = {}


@contextmanager
def atomic(path: Location) -> Iterator[Path]:
    """A temporary local path to write to; it takes the place of ``path`` when the block ends well.

    The temporary name does not end in the final suffix, so that no reader's ``*.parquet`` sees it.
    Raises StoreError where the disk or the storage refuses (full, read-only, no permission), or
    where the lease of a remote store is lost.
    """
    with _renamed(path) if isinstance(path, Path) else _uploaded(path) as temporary:
        yield temporary


@contextmanager
def _renamed(path: Path) -> Iterator[Path]:
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


@contextmanager
def _uploaded(path: UPath) -> Iterator[Path]:
    """A put, or a multipart upload that is completed at its end: nobody sees a part of either."""
    _check_lease(path)
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
        _check_lease(path)
        with storage_errors(path, "write"):
            path.fs.put_file(str(temporary), path.path)


def _check_lease(path: UPath) -> None:
    for root, check in list(LEASES.items()):
        if str(path).startswith(root.rstrip("/") + "/"):
            check()


def refusal(path: Path, error: OSError, *, cures: Mapping[int, str] = CURES) -> str:
    """One line on why the disk would not take a file, and what to do."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    cure = cures.get(error.errno or 0, "check the disk and run again; what was already written is kept")
    return f"cannot write {str(path)!r}: {reason} ({cure})"


def remove_temporary(root: Location) -> int:
    """Delete what killed runs left half-written; only to be called under the store's lock.

    On object storage there is nothing to delete: uploads that never ended are not objects.
    """
    if is_remote(root):
        return 0
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
