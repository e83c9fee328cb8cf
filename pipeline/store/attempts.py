"""Notes in the store of what workers have begun, so that a job begun twice is seen.

Dask runs a task again when the worker that had it goes away, and cannot say whether that worker had begun
it. The note says so, whichever scheduler it is and however it was set up.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from extract.errors import StoreError
from pipeline.storage.atomic import refusal
from pipeline.storage.location import Location, is_remote, names, storage_errors
from pipeline.store.layout import Store

NOTES = ".attempts"


def begin(store: Store, attempt: str) -> bool:
    """Note that an attempt begins; False if it had begun before. Raises StoreError."""
    note = _note(store, attempt)
    if is_remote(note):
        with storage_errors(note, "write"):
            if note.fs.exists(note.path):
                return False
            note.fs.pipe_file(note.path, b"")
            return True
    assert isinstance(note, Path)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError as error:
        raise StoreError(refusal(note, error)) from error
    return True


def forget(store: Store, attempt: str) -> None:
    """The attempt is over, and the driver has heard of it."""
    with suppress(Exception):  # a note too many does no harm
        _note(store, attempt).unlink()


def forget_all(store: Store) -> None:
    """No attempt of an earlier run will be heard of any more; to be called under the store's lock."""
    for name in names(store.root / NOTES):
        forget(store, name)


def _note(store: Store, attempt: str) -> Location:
    return store.root / NOTES / attempt
