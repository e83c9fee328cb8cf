"""SHA-256 of large files, remembered for as long as a file does not change."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from extract.errors import WeightsError

# A file touched later than this may change again without a new timestamp. File times are of the wall
# clock, so it is asked; if it jumps back, a hash is not remembered, and that is all.
SETTLED_SECONDS = 2.0


def user_cache() -> Path:
    """The folder of all programs' caches: ``XDG_CACHE_HOME``, else ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def cache_dir() -> Path:
    """Marquee's own cache: ``MARQUEE_CACHE``, else ``marquee`` in the user's cache folder."""
    return Path(os.environ.get("MARQUEE_CACHE") or user_cache() / "marquee")


def sha256_of(path: Path) -> str:
    """The file's SHA-256 in hex.

    Hashing gigabytes at every start is slow, so the result is kept in the cache together with
    the file's inode, size, mtime and ctime, and is used again only while all four are the same.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        before = _identity(path)
        remembered = _recall(path, before)
        if remembered is not None:
            return remembered
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = _identity(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    if before != after:
        raise WeightsError(f"{path} changed while it was hashed; wait until it is complete and start again")
    if time.time() - max(before[2], before[3]) / 1e9 > SETTLED_SECONDS:
        _remember(path, before, digest)
    return digest


def git_blob_of(path: Path) -> str:
    """The id that git gives the file's content, in hex: the SHA-1 of its length and bytes.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        start = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: start).hexdigest()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error


def _identity(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _record(path: Path) -> Path:
    """One small file per hashed file, so that two processes never write the same one differently."""
    key = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    return cache_dir() / "hashes" / f"{key}.json"


def _recall(path: Path, identity: list[int]) -> str | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        record = json.loads(_record(path).read_text(encoding="utf-8"))
        if record["path"] == os.fsencode(path.resolve()).hex() and record["identity"] == identity:
            return str(record["sha256"])
    return None


def _remember(path: Path, identity: list[int], digest: str) -> None:
    """Best effort: a cache that cannot be written costs time, nothing else."""
    record = {"path": os.fsencode(path.resolve()).hex(), "identity": identity, "sha256": digest}
    target = _record(path)
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=target.parent, suffix=".tmp", delete=False) as file:
            json.dump(record, file)
        os.replace(file.name, target)
