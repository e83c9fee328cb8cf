"""Where videos and stores lie: a local path, or object storage behind an fsspec URL (``s3://bucket/prefix``).

Local locations are :class:`pathlib.Path`, remote ones :class:`upath.UPath`. Both join with ``/``, have
``name`` and ``parent``, print as what the user wrote, and pickle. Credentials and addresses of servers come
from the environment (``AWS_PROFILE``, ``AWS_ENDPOINT_URL``, ...) on whichever machine opens the location.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard, TypeVar, cast

from extract.errors import MarqueeError, MissingDependency, StoreError, UsageError, to_install

if TYPE_CHECKING:
    from upath import UPath

Location: TypeAlias = "Path | UPath"
Kind: TypeAlias = Literal["file", "folder", "link", "other"]

# Only object stores: a PUT there appears whole or not at all. What to install for each protocol.
PACKAGES = {
    "s3": to_install("s3"),
    "s3a": to_install("s3"),
    "gs": "pip install universal-pathlib gcsfs",
    "gcs": "pip install universal-pathlib gcsfs",
    "az": "pip install universal-pathlib adlfs",
    "abfs": "pip install universal-pathlib adlfs",
    "abfss": "pip install universal-pathlib adlfs",
}
THREADS = 32
_URL = re.compile(r"([A-Za-z][\w+.:-]*)://(.*)", re.DOTALL)
# Empty names, "." and "..", and what fsspec reads as a version, a chain of file systems or a protocol.
_ODD = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|\?versionId=|::|^\w+:/")

T = TypeVar("T")
R = TypeVar("R")


def location(text: str | os.PathLike[str] | Location, name: str = "a location") -> Location:
    """The place that a user gives for ``name``. Raises UsageError for what is none, MissingDependency."""
    if not isinstance(text, str) and type(text).__module__.partition(".")[0] == "upath":
        return text  # type: ignore[return-value]
    if not isinstance(text, str | os.PathLike) or not os.fspath(text) or "\0" in str(text):
        raise UsageError(f"{name} is {text!r}; a path, or a URL of object storage, is needed")
    if not isinstance(text, str):
        return Path(text)
    match = _URL.match(text)
    if match is None:
        return Path(text)
    protocol, rest = match[1].lower(), match[2].rstrip("/")
    if protocol == "file":
        return Path(match[2])
    if protocol not in PACKAGES:
        raise UsageError(
            f"{protocol}:// is not a supported object storage: give a local path, or a URL of "
            f"{', '.join(PACKAGES)}"
        )
    bucket, _, prefix = rest.partition("/")
    if not bucket or ("@" in bucket and protocol.startswith("s3")):
        raise UsageError(
            f"a {protocol}:// URL is {protocol}://BUCKET/PREFIX; keys and passwords come from the environment"
        )
    if prefix and is_odd(prefix):
        raise UsageError(f"{text!r} has an empty name, '.' or '..' in its path: give it without")
    return _remote(protocol, rest)


def _remote(protocol: str, rest: str) -> UPath:
    options: dict[str, Any] = {"use_listings_cache": False}  # others write too
    if protocol in ("s3", "s3a"):
        # One part of an upload in memory at a time; a connection for each thread.
        options |= {"max_concurrency": 1, "config_kwargs": {"max_pool_connections": 2 * THREADS}}
    try:
        from fsspec.registry import get_filesystem_class
        from upath import UPath

        get_filesystem_class(protocol)
    except ImportError as error:
        raise MissingDependency(
            f"{protocol}:// needs a package that is not installed ({error.name or error}): "
            f"{PACKAGES[protocol]}"
        ) from error
    return cast("UPath", UPath(f"{protocol}://{rest}", **options))


def is_remote(place: Location) -> TypeGuard[UPath]:
    """Whether this is object storage."""
    return not isinstance(place, Path)


def is_odd(name: str) -> bool:
    """Whether a key below a prefix cannot be told from another one, or not be asked for by its name."""
    return _ODD.search(name) is not None


def join(root: Location, raw: bytes) -> Location:
    """What lies at this path below ``root``; names of files are bytes, keys of objects UTF-8."""
    return root / raw.decode() if is_remote(root) else root / os.fsdecode(raw)


def names(folder: Location) -> list[str]:
    """Entries of a folder, sorted; none where there is no such folder. Raises StoreError."""
    if not isinstance(folder, Path):
        return sorted(_listed(folder))
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"cannot read {str(folder)!r}: {error.strerror}") from error


def kinds(folder: Location) -> dict[str, Kind]:
    """The same, with what each is; a link is a link, whatever it leads to."""
    if is_remote(folder):
        return {name: "folder" if size is None else "file" for name, size in sorted(_listed(folder).items())}
    try:
        with os.scandir(str(folder)) as listing:
            return {entry.name: _kind(entry) for entry in sorted(listing, key=lambda entry: entry.name)}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise StoreError(f"cannot read {str(folder)!r}: {error.strerror}") from error


def _kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


def sizes(folder: Location) -> dict[str, int]:
    """The same, with the size of each in bytes; a file that vanishes meanwhile (another run) has none."""
    if not isinstance(folder, Path):
        return {name: size or 0 for name, size in _listed(folder).items()}
    return {name: found.st_size for name, found in _looked_at(folder)}


def stamps(folder: Location) -> dict[str, str]:
    """The same, with a text for each that is another one once the file was written anew."""
    if not isinstance(folder, Path):
        return {name: f"{entry['size']} {version_of(entry)}" for name, entry in _entries(folder).items()}
    return {name: f"{found.st_size} {found.st_mtime_ns}" for name, found in _looked_at(folder)}


def version_of(entry: Mapping[str, Any]) -> str | None:
    """What storage calls this content of an object, else when it was written; as s3fs, gcsfs, adlfs say."""
    said = ("ETag", "etag", "LastModified", "last_modified", "updated")
    return next((str(entry[name]) for name in said if entry.get(name)), None)


def _looked_at(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    for name in names(folder):
        with suppress(FileNotFoundError):
            yield name, os.stat(os.path.join(folder, name))


def _listed(folder: UPath) -> dict[str, int | None]:
    """Names and sizes; None for what further keys lie below."""
    return {
        name: None if entry["type"] == "directory" else entry["size"]
        for name, entry in _entries(folder).items()
    }


def _entries(folder: UPath) -> dict[str, Mapping[str, Any]]:
    """What the storage says of each object, by name."""
    with storage_errors(folder):
        try:
            found = folder.fs.ls(folder.path, detail=True)
        except FileNotFoundError as error:
            if code(error) == "NoSuchBucket":
                raise
            return {}
    start = len(folder.path.rstrip("/")) + 1
    return {entry["name"][start:]: entry for entry in found if len(entry["name"].rstrip("/")) > start}


def read_bytes(place: Location, *, most_bytes: int | None = None) -> bytes:
    """A whole file of at most so many bytes.

    Raises FileNotFoundError, OSError for a local one (also for a pipe, which would be waited for), StoreError
    for a remote one.
    """
    if not is_remote(place):
        descriptor = os.open(str(place), os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            _check_size(found.st_size, most_bytes)
            return file.read()
    with storage_errors(place):
        if most_bytes is not None:
            _check_size(place.fs.size(place.path), most_bytes)
        return cast(bytes, place.fs.cat_file(place.path))


def _check_size(size_bytes: int, most_bytes: int | None) -> None:
    if most_bytes is not None and size_bytes > most_bytes:
        raise OSError(errno.EFBIG, f"{size_bytes} bytes; it never has more than {most_bytes}")


def ahead(
    function: Callable[[T], R], items: Iterable[T], place: Location, *, threads: int = THREADS
) -> Iterator[R]:
    """``function`` of every item, in order. On remote storage many at a time, but only few ahead."""
    if not is_remote(place):
        yield from map(function, items)
        return
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, "storage") as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def storage_errors(place: Location, doing: str = "read") -> Iterator[None]:
    """What object storage has to say becomes one StoreError line; FileNotFoundError of an object passes."""
    try:
        yield
    except MarqueeError:
        raise
    except Exception as error:
        if isinstance(error, FileNotFoundError) and doing == "read" and code(error) != "NoSuchBucket":
            raise
        raise StoreError(f"cannot {doing} {str(place)!r}: {trouble(error)}") from error


def code(error: BaseException) -> str:
    """What the server calls the error (``NoSuchBucket``, ``AccessDenied``, ...); empty without an answer."""
    response = getattr(error.__cause__ or error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def trouble(error: BaseException) -> str:
    """Why object storage refuses, and what to do, in one line without addresses of servers or keys."""
    kind, server_code = type(error).__name__, code(error)
    if kind == "ProfileNotFound" or "Credential" in kind or "Token" in kind:
        return "no credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if server_code in _REFUSED_KEYS:
        return f"the credentials are refused ({server_code}): renew them, then run again"
    if isinstance(error, PermissionError):
        return "no permission: these credentials must be allowed to list, read and write there"
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket: create it, or correct the address"
    if isinstance(error, TimeoutError | ConnectionError) or "Connect" in kind or "Timeout" in kind:
        return (
            "the storage cannot be reached: check the network and AWS_ENDPOINT_URL, then run again; "
            "what was already written is kept"
        )
    what = " ".join(str(error).split())[:300]
    return f"{server_code or kind}: {what} (what was already written is kept: run again)"


_REFUSED_KEYS = frozenset(
    (
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    )
)
