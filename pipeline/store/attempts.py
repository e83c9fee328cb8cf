"""Notes in the store of what workers have begun, so that a job begun twice is seen.

Dask runs a task again when the worker that had it goes away, and cannot say whether that worker had begun
it. The note says so, whichever scheduler it is and however it was set up.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from extract.errors import StoreError
from pipeline.storage.atomic import refusal
from pipeline.storage.inside import opened_folder, remove_files
from pipeline.storage.location import Location, is_remote, names, storage_errors
from pipeline.store.contents import NOTE, NOTES
from pipeline.store.layout import Store


def begin(store: Store, attempt: str) -> bool:
    """Note that an attempt begins; False if it had begun before. Raises StoreError."""
    note = _note(store, attempt)
    if is_remote(note):
        with storage_errors(note, "write"):
            if note.fs.exists(note.path):
                return False
            note.fs.pipe_file(note.path, b"")
            return True
    root = store.root
    assert isinstance(note, Path) and isinstance(root, Path)
    try:
        with opened_folder(root, note.parent, create=True) as folder:
            os.close(os.open(attempt, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666, dir_fd=folder))
    except FileExistsError:
        return False
    except OSError as error:
        raise StoreError(refusal(note, error)) from error
    return True


def forget(store: Store, attempt: str) -> None:
    """The attempt is over, and the driver has heard of it."""
    with suppress(Exception):  # a note too many does no harm
        if isinstance(store.root, Path):
            remove_files(store.root, store.root / NOTES, lambda name: name == attempt)
        else:
            _note(store, attempt).unlink()


def forget_all(store: Store) -> None:
    """No attempt of an earlier run will be heard of any more; to be called under the store's lock."""
    for name in names(store.root / NOTES):
        if NOTE.fullmatch(name):
            forget(store, name)


def _note(store: Store, attempt: str) -> Location:
    return store.root / NOTES / attempt
