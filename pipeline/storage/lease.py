"""One writer per remote store: an object that its holder renews, and that others watch before they take it.

Nothing here compares clocks. A lease counts as abandoned when its object has not changed while
somebody watched it for longer than three renewals. On S3 a renewal and a takeover replace the very version
that was read (``If-Match`` with its ETag), so that of two at one moment one fails and looks again. fsspec
hands no such condition to other object stores: there both go through, and the later one stands.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from extract.errors import StoreError
from pipeline.storage.location import code, read_bytes, storage_errors

if TYPE_CHECKING:
    from upath import UPath

Holder = Mapping[str, Any]
RENEWALS = 3  # that may fail because the object changes just then
CHANGED = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")  # of a PUT with If-Match


@contextmanager
def lease(
    root: UPath,
    name: str,
    holder: Holder,
    taken: Callable[[object, Holder], str],
    *,
    renew_seconds: float,
    watch_seconds: float,
) -> Iterator[Callable[[], None]]:
    """Hold ``root / name`` with a ``holder`` that has a ``token``; ``taken`` says who else holds it.

    Yields a check for writes below ``root``: it raises StoreError once another run has taken over.
    Raises StoreError where another run holds it, or has taken it over by the end, and for an object of that
    name that is not a lease: it is left unchanged.
    """
    held = _Lease(root, name, holder, taken, renew_seconds, watch_seconds)
    held.acquire()
    renewing = threading.Thread(target=held.keep, name="lease", daemon=True)
    renewing.start()
    try:
        yield held.check
        held.check()
    finally:
        held.stop.set()
        renewing.join()
        held.give_back()


def parsed_holder(text: bytes, place: object) -> dict[str, Any]:
    """Who holds a lock, by what is in it; empty: nobody. Raises StoreError for what is no lock of ours."""
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("token"), str):
        raise StoreError(
            f"{str(place)!r} is not a lock that Marquee wrote, so it is left unchanged: move it away and run "
            "again"
        )
    return found


class _Lease:
    def __init__(
        self,
        root: UPath,
        name: str,
        holder: Holder,
        taken: Callable[[object, Holder], str],
        renew_seconds: float,
        watch_seconds: float,
    ) -> None:
        self.stop = threading.Event()
        self._root, self._path, self._taken = root, root / name, taken
        self._holder = {**holder, "counter": 0}
        self._renew_seconds, self._watch_seconds = renew_seconds, watch_seconds
        self._renewing = threading.Lock()
        self._renewed = 0.0
        self._lost = ""

    def acquire(self) -> None:
        seen: Holder | None = None
        since = time.monotonic()
        while True:
            found, version = self._read()
            if found is None:
                if self._create():
                    self._require_conditions()
                    break
            elif seen is None:
                seen, since = found, time.monotonic()
            elif found != seen:
                raise StoreError(self._taken(self._root, found))
            elif time.monotonic() - since >= self._watch_seconds:
                # Where versions are ignored, another that watched as long may put its own: look again.
                replaced = self._replace(version)
                if replaced and not self.stop.wait(self._renew_seconds / 4) and self._is_mine():
                    break
                raise StoreError(self._taken(self._root, self._read()[0] or {}))
            if found is not None:
                self.stop.wait(self._renew_seconds / 4)
        self._renewed = time.monotonic()

    def keep(self) -> None:
        """Renew until told to stop, or until another run has taken over."""
        while not self.stop.wait(self._renew_seconds) and not self._lost:
            with suppress(StoreError):  # out of reach for now; who takes over meanwhile is seen later
                self._renew()

    def check(self) -> None:
        """Raise StoreError if the lease is lost; one that was not renewed for long is renewed first."""
        if time.monotonic() - self._renewed > self._watch_seconds / 2:
            self._renew()
        if self._lost:
            raise StoreError(self._lost)

    def give_back(self) -> None:
        with suppress(StoreError):
            if not self._lost and self._is_mine():
                self._delete()

    def _renew(self) -> None:
        """Raises StoreError where the storage is out of reach, or the object changes each time."""
        with self._renewing:
            for _ in range(RENEWALS):
                found, version = self._read()
                if found is not None and found.get("token") != self._holder["token"]:
                    who = self._taken(self._root, found)
                    self._lost = f"{who} (it took over from this run, whose lease was not renewed in time)"
                    return
                self._holder["counter"] += 1
                # None: someone deleted it by hand
                if self._create() if found is None else self._replace(version):
                    self._renewed = time.monotonic()
                    return
            raise StoreError(f"{str(self._path)!r} changes while it is renewed: run the same command again")

    def _create(self) -> bool:
        """Put the object unless there is one. A put whose answer was lost is repeated, so look again."""
        with storage_errors(self._path, "write"):
            try:
                self._path.fs.pipe_file(self._path.path, self._text(), mode="create")
            except FileExistsError:
                return self._is_mine()
        return True

    def _replace(self, version: str) -> bool:
        """Put the object in place of this version; False where it is another by now. ``""``: of any."""
        condition = {"IfMatch": version} if version else {}
        with storage_errors(self._path, "write"):
            try:
                self._path.fs.pipe_file(self._path.path, self._text(), **condition)
            except OSError as error:
                if code(error) not in CHANGED:
                    raise
                return False
        return True

    def _require_conditions(self) -> None:
        """Raise StoreError where a put "unless there is one" overwrites: no two runs would see each other."""
        with storage_errors(self._path, "write"), suppress(FileExistsError):
            self._path.fs.pipe_file(self._path.path, self._text(), mode="create")
            raise StoreError(
                f"the storage of {str(self._root)!r} has no conditional writes (If-None-Match), which keep "
                "two runs from writing at once: give an --out on other storage"
            )

    def _is_mine(self) -> bool:
        return bool((self._read()[0] or {}).get("token") == self._holder["token"])

    def _read(self) -> tuple[dict[str, Any] | None, str]:
        """Who holds it (None: there is no object), and the version of the object, or an older one."""
        try:
            version = self._version()  # first: what changes after it is never taken for what is read
            return parsed_holder(read_bytes(self._path), self._path), version
        except FileNotFoundError:
            return None, ""

    def _version(self) -> str:
        """The object's ETag on S3, "" elsewhere."""
        if not self._path.protocol.startswith("s3"):
            return ""
        with storage_errors(self._path):
            return str(self._path.fs.info(self._path.path).get("ETag") or "")

    def _delete(self) -> None:
        with storage_errors(self._path, "write"), suppress(FileNotFoundError):
            self._path.fs.rm_file(self._path.path)

    def _text(self) -> bytes:
        return json.dumps(self._holder).encode()
