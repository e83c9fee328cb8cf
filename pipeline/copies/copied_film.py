"""Films that a store names, copied whole. A store may come from anyone, and name any file of this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from extract.errors import MediaError, StoreError
from extract.media.probe import probe
from pipeline.storage.atomic import refusal


def copy_film(film: Path, root: Path, target: Path) -> None:
    """Copy a media file that lies below ``root``, or is it, once links are followed.

    Raises MediaError for every other file, StoreError where the copy cannot be written.
    """
    if not film.resolve().is_relative_to(root.resolve()):
        raise MediaError(f"{str(film)!r} leads out of the videos folder")
    probe(film)
    try:
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(film, target)
    except OSError as error:
        raise StoreError(refusal(target, error)) from error
