"""One writer per store, by a lock of the operating system: a killed run leaves none behind."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from extract.errors import StoreError
from pipeline.atomic import refusal, remove_temporary
from pipeline.store import LOCK_FILE, Store


@contextmanager
def writing(store: Store, *, command: str = "") -> Iterator[None]:
    """Hold the store for writing, and clear what a killed run left half-written.

    Raises StoreError at once where another run holds it, naming that run. The lock is a POSIX
    ``flock`` on ``OUT/.lock`` (Linux, macOS); what the file holds is only for the message.
    """
    try:
        import fcntl
    except ImportError:
        raise StoreError("stores are written on Linux or macOS only: there is no flock here") from None
    path = store.root / LOCK_FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise StoreError(refusal(path, error)) from error
    held = [descriptor]
    # A forked child shares the lock and would hold it on after the parent's death.
    os.register_at_fork(after_in_child=lambda: _close(held))
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(_taken(store, os.pread(descriptor, 4096, 0))) from None
        except OSError as error:
            raise StoreError(
                f"the file system of {str(store.root)!r} has no locks ({error.strerror}): "
                "give --out a folder on another one"
            ) from error
        _describe(descriptor, command)
        remove_temporary(store.root)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        _close(held)


def _close(held: list[int]) -> None:
    while held:
        os.close(held.pop())


def _describe(descriptor: int, command: str) -> None:
    holder = {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command[:1000],
    }
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _taken(store: Store, text: bytes) -> str:
    try:
        holder = json.loads(text)
        who = f"pid {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        who = "another run"
    return f"store {str(store.root)!r} is being written by {who}; wait for it or stop it"
