"""Downloads of published files: whole and checked, or not there at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from extract.errors import WeightsError
from extract.weights.files import WeightFile, download_path
from extract.weights.hashing import CHUNK_BYTES

TIMEOUT_SECONDS = 20.0  # for the connection and for each read


class Unreachable(WeightsError):
    """The host cannot be reached from here at all; asking it for another file is no use."""


def fetch(file: WeightFile, progress: Callable[[int, int | None], None] | None = None) -> Path:
    """Download a file into the cache and return its path.

    It is hashed while it streams, beside its final name, and renamed only when it is complete and
    its hash the published one. ``progress`` hears (bytes so far, bytes in all or None).

    Raises:
        Unreachable: no connection to the host.
        WeightsError: the host refuses, the transfer breaks off, or the hash is wrong.
    """
    target = download_path(file)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".tmp")
    except OSError as error:
        raise WeightsError(
            f"{target.parent} cannot be written: {error.strerror}; set MARQUEE_CACHE"
        ) from error
    try:
        with os.fdopen(handle, "wb") as out:
            digest = _stream(file, out, progress)
            if file.sha256 is not None and not digest.startswith(file.sha256):
                raise WeightsError(
                    f"{file.url} sent something else than {file.name}: SHA-256 {digest}, "
                    f"published is {file.sha256}; nothing was kept"
                )
            out.flush()
            os.fsync(out.fileno())
        os.replace(name, target)
    except OSError as error:
        raise WeightsError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
    return target


def _stream(file: WeightFile, out: IO[bytes], progress: Callable[[int, int | None], None] | None) -> str:
    """Copy the URL's bytes; returns their SHA-256 in hex."""
    digest, done = hashlib.sha256(), 0
    request = urllib.request.Request(file.url, headers={"User-Agent": "marquee"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            length = answer.headers.get("Content-Length")
            total = int(length) if length else None
            while chunk := answer.read(CHUNK_BYTES):
                digest.update(chunk)
                out.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    except urllib.error.HTTPError as error:
        raise WeightsError(f"{file.url} answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise Unreachable(f"no connection to {urlsplit(file.url).netloc}: {error.reason}") from error
    except (TimeoutError, http.client.HTTPException, ConnectionError) as error:
        raise WeightsError(f"{file.url} broke off after {done:,} bytes: {error or 'timed out'}") from error
    if total is not None and done != total:
        raise WeightsError(f"{file.url} broke off after {done:,} of {total:,} bytes")
    return digest.hexdigest()
