"""One writer per store: a lock of the operating system, or on object storage a lease."""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from extract.errors import StoreError
from pipeline.storage.atomic import refusal
from pipeline.storage.inside import open_own
from pipeline.storage.lease import lease, parsed_holder
from pipeline.storage.location import read_bytes
from pipeline.store.contents import LOCK_FILE, refuse_misplaced, remove_leftovers
from pipeline.store.layout import Store

_MOST_BYTES = 64 << 10  # of a lock


@contextmanager
def writing(
    store: Store, *, command: str = "", renew_seconds: float = 10.0, watch_seconds: float = 30.0
) -> Iterator[tuple[Store, str]]:
    """Hold the store for writing, and clear what a killed run left half-written.

    Yields the store to write to, which asks before each write whether it is still held, and a token.

    Raises StoreError for a link under a name of ours, for a lock that is not ours, and where another run
    holds it, naming that run: at once for a local store, and for a remote one after its lease was seen to be
    renewed or unchanged (:mod:`pipeline.storage.lease`, which the seconds are for). The token is in the lock
    file, so that processes that write for this run can ask (:func:`check_token`) whether it
    is still the one that holds the store.
    """
    holder = {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command[:1000],
        "token": secrets.token_hex(16),
    }
    root, token = store.root, str(holder["token"])
    if isinstance(root, Path):
        with _flock(root, holder):
            refuse_misplaced(root)
            remove_leftovers(root)
            yield store, token  # a lock of the operating system is not lost
        return
    with lease(
        root, LOCK_FILE, holder, _taken, renew_seconds=renew_seconds, watch_seconds=watch_seconds
    ) as check_held:
        yield Store(root, check_held), token


def holder_of(store: Store) -> str | None:
    """The run that may be writing now, as the lock file names it; None where there is none that lives."""
    try:
        holder = _parsed(read_bytes(store.root / LOCK_FILE))
    except OSError:
        return None
    if not holder or (holder.get("host") == platform.node() and not _lives(holder.get("pid"))):
        return None
    return _named(holder)


def _lives(pid: object) -> bool:
    try:
        os.kill(pid if isinstance(pid, int) and pid > 0 else os.getpid(), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def check_token(store: Store, token: str) -> None:
    """Raise StoreError unless the run with this token holds the store."""
    try:
        text = read_bytes(store.root / LOCK_FILE)
    except OSError:
        text = b""
    if _parsed(text).get("token") != token:
        raise StoreError(f"{str(store.root)!r} is no longer held by this run: run the same command again")


@contextmanager
def _flock(root: Path, holder: Mapping[str, Any]) -> Iterator[None]:
    """A POSIX ``flock`` (Linux, macOS), which a killed run does not leave behind."""
    try:
        import fcntl
    except ImportError:
        raise StoreError("stores are written on Linux or macOS only: there is no flock here") from None
    path = root / LOCK_FILE
    try:
        descriptor = open_own(root, LOCK_FILE)
    except OSError as error:
        raise StoreError(refusal(path, error)) from error
    held = [descriptor]
    # A forked child shares the lock and would hold it on after the parent's death.
    os.register_at_fork(after_in_child=lambda: _close(held))
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(_taken(root, _parsed(os.pread(descriptor, _MOST_BYTES, 0)))) from None
        except OSError as error:
            raise StoreError(
                f"the file system of {str(root)!r} does not support locks ({error.strerror}): give an --out "
                "on another file system"
            ) from error
        parsed_holder(os.pread(descriptor, _MOST_BYTES, 0), path)
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
            os.fsync(descriptor)  # NFS: workers on other machines read it
        except OSError as error:
            raise StoreError(refusal(path, error)) from error
        yield
        os.ftruncate(descriptor, 0)
    finally:
        _close(held)


def _close(held: list[int]) -> None:
    while held:
        os.close(held.pop())


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return {}


def _taken(root: object, holder: Mapping[str, Any]) -> str:
    return f"store {str(root)!r} is being written by {_named(holder)}; wait for it or stop it"


def _named(holder: Mapping[str, Any]) -> str:
    try:
        return f"pid {holder['pid']} on {holder['host']} since {holder['since']}"
    except KeyError:
        return "another run"
