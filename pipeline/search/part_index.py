"""What the indices of words and of vectors have in common: a file of SQLite that follows the parts of a
store.

An index holds nothing that the store does not, and is never trusted over it. Before every search the stamps
of the parts are compared with those in the index: parts that are gone or have changed are taken out, new ones
are read, each in a transaction of its own, so that an index is right whenever a process is killed. Where
nothing has changed no part is opened. A damaged index is made anew; deleting one loses nothing.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from extract.errors import StoreError
from extract.weights.hashing import cache_dir
from pipeline.storage.location import is_remote, stamps
from pipeline.store.footer import Footer
from pipeline.store.layout import PartFile, Store, shard_name
from pipeline.store.reading import current_parts, read_from
from pipeline.store.validity import valid_footer
from pipeline.store.videos import members_of

Log: TypeAlias = Callable[[str], None]

_BUSY_SECONDS = 600.0  # another search may be reading a part of the longest films
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA)
_PARTS = """
CREATE TABLE parts (
    number INTEGER PRIMARY KEY, name TEXT UNIQUE, stamp TEXT, plan TEXT, valid INTEGER
);
"""  # `plan`: the stamp of its shard's list of videos, by which it is valid or not


@dataclass(frozen=True)
class Format:
    """Of a file of SQLite: ``application`` is a number in its header, ``schema`` makes its tables."""

    application: int
    version: int
    schema: str


def index_path(store: Store, suffix: str) -> Path:
    """Beside the store; for a remote store and where that cannot be written, in the user's cache."""
    if not is_remote(store.root):
        beside = Path(str(store.root)).resolve()
        if os.access(beside.parent, os.W_OK):
            return beside.with_name(f"{beside.name}.{suffix}")
    digest = hashlib.sha256(str(store.root).encode()).hexdigest()[:16]
    return cache_dir() / f"{store.root.name}-{digest}.{suffix}"


def connect(path: Path, form: Format) -> sqlite3.Connection:
    """The index at ``path``, made where there is none.

    Raises sqlite3.DatabaseError for a damaged one and for one of another version, StoreError for a file that
    is no index of ours: it is left as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_ours(path, form)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        if _version(connection) != form.version:
            with transaction(connection):
                _make(connection, form)
    except BaseException:
        connection.close()
        raise
    return connection


def _make(connection: sqlite3.Connection, form: Format) -> None:
    if _version(connection) == form.version:
        return  # another process has made it meanwhile
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise sqlite3.DatabaseError("an index of another version")
    for statement in (_PARTS + form.schema).split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {form.application}")
    connection.execute(f"PRAGMA user_version = {form.version}")


def is_damaged(error: sqlite3.DatabaseError) -> bool:
    """Whether the index has to be made anew. Raises StoreError where the disk or another process refuses."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None or code & 0xFF in _DAMAGED:
        return True
    raise StoreError(
        f"the index beside the store cannot be used: {error} (check the disk, then search again)"
    )


def remove(path: Path) -> None:
    """Delete an index, with what a killed process left of its last transaction."""
    for name in (path.name, f"{path.name}-journal"):
        path.with_name(name).unlink(missing_ok=True)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Whole or not at all; other processes wait."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        yield


@dataclass(frozen=True)
class Follower:
    """How an index takes in a part as number so and so, and how it forgets one."""

    learn: Callable[[sqlite3.Connection, int, PartFile, Footer], None]
    forget: Callable[[sqlite3.Connection, int], None]


@dataclass(frozen=True)
class _Wanted:
    part: PartFile
    stamp: str
    plan: str


def follow(
    connection: sqlite3.Connection, store: Store, tables: Collection[str], follower: Follower, log: Log
) -> int:
    """Bring an index up to date with these tables of a store; how many valid parts they have.

    It is then in a transaction in which nobody else can change the index; :func:`release` ends it.
    """
    while True:
        release(connection)
        connection.execute("BEGIN")
        known = {row[0]: row[1:] for row in connection.execute("SELECT name, stamp, plan FROM parts")}
        wanted = _wanted(store, tables)
        gone = [name for name in known if name not in wanted]
        new = [name for name, one in wanted.items() if known.get(name) != (one.stamp, one.plan)]
        if not (gone or new):
            return int(connection.execute("SELECT count(*) FROM parts WHERE valid").fetchone()[0])
        release(connection)
        if len(new) > 1:
            log(f"{len(new)} parts of {', '.join(tables)} are new or have changed: their rows are indexed")
        for name in gone:
            with transaction(connection):
                _forget(connection, name, follower)
        for name in new:
            with transaction(connection):
                _take_in(connection, store, name, wanted[name], follower)


def release(connection: sqlite3.Connection) -> None:
    """Others may change the index again."""
    if connection.in_transaction:
        connection.rollback()


def _wanted(store: Store, tables: Collection[str]) -> dict[str, _Wanted]:
    """The current parts by name. No file is opened but ``run.json``."""
    plans, found = stamps(store.root / "videos"), {}
    for table in tables:
        parts = current_parts(store, table)
        there = stamps(store.root / table) if parts else {}
        for part in parts:
            if part.path.name in there:  # not taken out meanwhile
                plan = plans.get(shard_name(part.shard), "none" if plans else "no plan at all")
                found[f"{table}/{part.path.name}"] = _Wanted(part, there[part.path.name], plan)
    return found


def _take_in(
    connection: sqlite3.Connection, store: Store, name: str, wanted: _Wanted, follower: Follower
) -> None:
    part = wanted.part
    before = connection.execute("SELECT stamp, plan, valid FROM parts WHERE name = ?", (name,)).fetchone()
    if before is not None and before[:2] == (wanted.stamp, wanted.plan):
        return  # another process was faster
    members = members_of(store, shard=part.shard)
    footer = valid_footer(part, None if members is None else members.get(part.shard, frozenset()))
    if before is not None and (before[0], bool(before[2])) == (wanted.stamp, footer is not None):
        connection.execute("UPDATE parts SET plan = ? WHERE name = ?", (wanted.plan, name))
        return  # only the list of videos has changed
    _forget(connection, name, follower)
    number = connection.execute(
        "INSERT INTO parts (name, stamp, plan, valid) VALUES (?, ?, ?, ?)",
        (name, wanted.stamp, wanted.plan, footer is not None),
    ).lastrowid
    if footer is not None and number is not None:
        with read_from(part.path):
            follower.learn(connection, number, part, footer)


def _forget(connection: sqlite3.Connection, name: str, follower: Follower) -> None:
    row = connection.execute("SELECT number FROM parts WHERE name = ?", (name,)).fetchone()
    if row is not None:
        follower.forget(connection, row[0])
        connection.execute("DELETE FROM parts WHERE number = ?", row)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_ours(path: Path, form: Format) -> None:
    if path.is_symlink():
        raise StoreError(f"{str(path)!r} is a link where an index goes: move it away")
    if path.exists():
        with path.open("rb") as file:
            header = file.read(100)  # of SQLite: the application's number at byte 68
        if header and header[68:72] != form.application.to_bytes(4, "big"):
            raise StoreError(f"{str(path)!r} is not an index by Marquee: move it away")
