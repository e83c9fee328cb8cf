"""Local copies of remote videos, a few ahead of those that decode them."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from extract.errors import MediaError, StoreError
from extract.scratch import Scratch
from pipeline.storage.atomic import TMPDIR_CURES, refusal
from pipeline.storage.location import Location, code, is_remote, trouble

if TYPE_CHECKING:
    from upath import UPath

_BLOCK_BYTES = 8 << 20
# Of one object, not of the credentials; the second is one in an archive that is not at hand.
_OBJECT_REFUSED = frozenset(("AccessDenied", "InvalidObjectState", "403"))


@dataclass
class _Copy:
    source: UPath
    size_bytes: int | None
    path: Path
    complete: bool = False
    error: MediaError | None = None
    released: bool = False


class Fetcher:
    """Fetches videos in the order in which they are asked for.

    At most ``ahead`` copies are on the disk, complete or not, so each has to be released; the next
    one is fetched when one is. Objects are read in ranges of 8 MiB that all belong to one version.
    All methods may be called from any thread, and none but :meth:`close` waits for the storage.

    Raises StoreError (from :meth:`ready`, :meth:`error` and :meth:`wait`) where nothing more can be
    fetched: the disk is full, the storage cannot be reached, the credentials are refused.
    """

    def __init__(self, *, ahead: int = 8, threads: int = 4, folder: Path | None = None) -> None:
        try:
            self._folder = Scratch("videos", parent=folder)
        except OSError as error:
            where = folder or Path(tempfile.gettempdir())
            raise StoreError(refusal(where, error, cures=TMPDIR_CURES)) from error
        self._ahead = ahead
        self._pool = ThreadPoolExecutor(threads, "fetch")
        self._changed = threading.Condition()
        self._copies: dict[str, _Copy] = {}
        self._waiting: list[str] = []
        self._number = 0
        self._stop: Exception | None = None
        self._closed = False

    def request(self, key: str, source: Location, size_bytes: int | None = None) -> None:
        """Fetch an object that had ``size_bytes`` when it was found; a key that is known is left as it is."""
        if not is_remote(source):
            raise ValueError(f"{str(source)!r} is local: there is nothing to fetch")
        with self._changed:
            if key in self._copies:
                return
            # The name is kept: its suffix tells formats apart that have no magic number.
            path = self._folder.path / str(self._number) / source.name
            self._number += 1
            self._copies[key] = _Copy(source, size_bytes, path)
            self._waiting.append(key)
            self._start()

    def ready(self, key: str) -> Path | None:
        """The local copy once it is complete; None before that, or if there is an :meth:`error`."""
        with self._changed:
            self._raise()
            copy = self._copies[key]
            return copy.path if copy.complete else None

    def error(self, key: str) -> MediaError | None:
        """Why this object cannot be had: it vanished, changed, or must not be read."""
        with self._changed:
            self._raise()
            return self._copies[key].error

    def wait(self, done: Callable[[], object], seconds: float) -> bool:
        """Wait until ``done()``, which may ask :meth:`ready` and :meth:`error`; False if it takes longer."""
        with self._changed:
            return bool(self._changed.wait_for(done, seconds))

    def release(self, key: str) -> None:
        """Delete the copy, or do not fetch it any more; the key may be asked for again."""
        with self._changed:
            copy = self._copies.pop(key)
            copy.released = True
            if key in self._waiting:
                self._waiting.remove(key)
            elif copy.complete or copy.error is not None:
                _delete(copy)
            self._start()

    def close(self) -> None:
        """Stop fetching and delete all copies."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._folder.close()

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _raise(self) -> None:
        if self._stop is not None:
            raise self._stop

    def _start(self) -> None:
        while self._waiting and self._stop is None and len(self._copies) - len(self._waiting) < self._ahead:
            self._pool.submit(self._fetch, self._copies[self._waiting.pop(0)])

    def _fetch(self, copy: _Copy) -> None:
        stop: Exception | None = None
        try:
            copy.path.parent.mkdir()
            self._copy(copy)
        except MediaError as error:
            copy.error = error
        except OSError as error:
            stop = StoreError(refusal(copy.path, error, cures=TMPDIR_CURES))
        except Exception as error:
            stop = error
        with self._changed:
            self._stop = self._stop or stop
            copy.complete = copy.error is None and stop is None
            if copy.released or not copy.complete:
                _delete(copy)
            self._changed.notify_all()

    def _copy(self, copy: _Copy) -> None:
        """Raises MediaError for the object, StoreError for the storage, OSError for the disk."""
        source = copy.source
        with _reading(source):
            remote = source.fs.open(source.path, "rb", cache_type="none")
        with remote, copy.path.open("wb") as local:
            if copy.size_bytes not in (None, remote.size):
                raise MediaError(
                    f"{str(source)!r} changed: it had {copy.size_bytes} bytes when it was found and has "
                    f"{remote.size} now; run again to read it as it is"
                )
            for _ in range(0, remote.size, _BLOCK_BYTES):
                if copy.released or self._closed:
                    return
                with _reading(source):
                    block = remote.read(_BLOCK_BYTES)
                local.write(block)


@contextmanager
def _reading(source: UPath) -> Iterator[None]:
    """Whose trouble an error is: the object's (MediaError) or the storage's (StoreError)."""
    try:
        yield
    except Exception as error:
        name = repr(str(source))
        if isinstance(error, FileNotFoundError) and code(error) != "NoSuchBucket":
            raise MediaError(f"{name} was deleted after the prefix was listed") from error
        if type(error).__name__ == "FileExpired":
            raise MediaError(f"{name} changed while it was fetched: run again to read it") from error
        if isinstance(error, PermissionError) and code(error) in _OBJECT_REFUSED:
            raise MediaError(f"{name} cannot be read: {code(error)}") from error
        raise StoreError(f"cannot read {name}: {trouble(error)}") from error


def _delete(copy: _Copy) -> None:
    shutil.rmtree(copy.path.parent, ignore_errors=True)
