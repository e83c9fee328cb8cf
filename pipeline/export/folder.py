"""The folder that an export is written into, and nothing outside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from extract.errors import StoreError
from pipeline.export import Format
from pipeline.storage.atomic import atomic, refusal
from pipeline.storage.inside import remove_files

_MARK = "marquee-export.txt"  # a folder with this file is an export, and may be written again
_MARK_TEXT = "These files were written by `marquee export --to {}` and are replaced by it.\n"


class ExportFolder:
    """Files below ``root``, each of which appears whole or not at all.

    ``root`` is new, empty, or has an older export in the same format; StoreError otherwise. It is made with
    the first file, so that what is refused before leaves nothing. ``files`` and ``bytes`` count what was
    written, ``without`` the videos that had nothing for this format, ``untimed`` the rows that lie nowhere in
    time.
    """

    def __init__(self, root: Path, to: Format) -> None:
        self.root, self.files, self.bytes, self.without, self.untimed = root, 0, 0, 0, 0
        self._names: set[str] = set()
        self._mark = _MARK_TEXT.format(to)
        try:
            if os.path.lexists(root) and any(root.iterdir()) and not self._is_marked():
                raise StoreError(
                    f"--out {str(root)!r} has files that are not an export to {to}: "
                    "give a new or empty folder"
                )
        except OSError as error:
            raise StoreError(refusal(root, error)) from error

    @contextmanager
    def write(self, name: str) -> Iterator[Path]:
        """A temporary path, which becomes the file ``name`` (a/b.srt) when the block ends well."""
        self._make()
        with atomic(self.root / name, below=self.root) as temporary:
            yield temporary
            size = temporary.stat().st_size
        self._names.add(name)
        self.files += 1
        self.bytes += size

    def _make(self) -> None:
        if self.files or self._is_marked():
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(refusal(self.root, error)) from error
        with atomic(self.root / _MARK, below=self.root) as temporary:
            temporary.write_text(self._mark, "utf-8")

    def _is_marked(self) -> bool:
        found = self.root / _MARK
        return found.is_file() and found.read_text("utf-8", "replace") == self._mark

    def remove_others(self, suffix: str) -> None:
        """Delete what an older export has that this one has not: whoever reads all files would read both."""

        def of_older(name: str) -> bool:
            return name.endswith(suffix) and str(place / name) not in kept

        if not self.root.is_dir():
            return
        kept = {str(self.root / name) for name in self._names}
        for place in (self.root, *filter(Path.is_dir, self.root.iterdir())):
            if not place.is_symlink():
                remove_files(self.root, place, of_older)
