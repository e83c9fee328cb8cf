"""An index of all words of a store: a file of SQLite's full-text search beside it, which grows with it.

The index holds nothing that the store does not. It is brought up to date before every search, part by part,
and made anew where it is damaged or of another version; deleting it loses nothing.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from extract.errors import StoreError
from extract.weights.hashing import cache_dir
from pipeline.report.lanes import speech, titles
from pipeline.report.video_tables import rows_by_video
from pipeline.search.query import Query, halves, near, plain
from pipeline.storage.location import is_remote
from pipeline.store.footer import Footer
from pipeline.store.layout import PartFile, Store
from pipeline.store.reading import current_parts, valid_parts
from pipeline.store.videos import members_of

Kind = Literal["title", "speech"]

VERSION = 1
_APPLICATION = 0x4D515745  # "MQWE" in the file's header: an index of ours, whatever became of the rest
_TABLES: dict[str, Kind] = {"ocr": "title", "whisper": "speech"}
_LANES = {"ocr": titles, "whisper": speech}
_MOST_NEAR = 64  # words that are taken for one that is sought
_BUSY_SECONDS = 60.0
_SCHEMA = """
CREATE TABLE parts (number INTEGER PRIMARY KEY, name TEXT UNIQUE, stamp TEXT);
CREATE TABLE lines (
    id INTEGER PRIMARY KEY, part INTEGER, video TEXT, kind TEXT, start REAL, stop REAL, text TEXT, plain TEXT
);
CREATE INDEX lines_of_part ON lines (part);
CREATE VIRTUAL TABLE found USING fts5(plain, content='lines', content_rowid='id', prefix='2 3');
CREATE TABLE vocabulary (word TEXT PRIMARY KEY, reversed TEXT) WITHOUT ROWID;
CREATE INDEX backwards ON vocabulary (reversed);
"""


@dataclass(frozen=True)
class FoundLine:
    """A line of words of a video; ``exact`` unless a word is only near to what was sought."""

    video_id: str
    start_seconds: float
    end_seconds: float
    kind: Kind
    text: str
    exact: bool


def index_path(store: Store) -> Path:
    """Beside the store; for a remote store and where that cannot be written, in the user's cache."""
    if not is_remote(store.root):
        beside = Path(str(store.root)).resolve()
        if os.access(beside.parent, os.W_OK):
            return beside.with_name(f"{beside.name}.words.sqlite")
    digest = hashlib.sha256(str(store.root).encode()).hexdigest()[:16]
    return cache_dir() / f"{store.root.name}-{digest}.words.sqlite"


class WordIndex:
    """The index of a store, up to date when it is made. Raises StoreError where the store has no words."""

    def __init__(self, store: Store) -> None:
        self.path = index_path(store)
        self._parts = list(_word_parts(store))
        if not self._parts:
            raise StoreError(
                f"{str(store.root)!r} has no words: extract with --experts +ocr or +whisper to get some"
            )
        try:
            self._connection = self._opened()
        except sqlite3.DatabaseError:
            self._connection = self._made_anew()

    def close(self) -> None:
        self._connection.close()

    def search(self, text: str, *, most: int = 20) -> list[FoundLine]:
        """Lines that have every word, at its beginning at least; then those with a slip in one of them.

        The best of either come first by BM25.
        """
        query = Query.of(text)
        if not query or most < 1:
            return []
        try:
            return self._search(query, most)
        except sqlite3.DatabaseError:
            self._connection.close()
            self._connection = self._made_anew()
            return self._search(query, most)

    def _search(self, query: Query, most: int) -> list[FoundLine]:
        exact = self._lines(_exact(query), most, exact=True)
        known = {line for line, _ in exact}
        found = [made for _, made in exact]
        if len(found) < most and query.words:
            expanded = [self._expanded(word) for word in query.words]
            loose = self._lines(" AND ".join([*expanded, *_phrases(query)]), most + len(found), exact=False)
            found += [made for line, made in loose if line not in known]
        return found[:most]

    def _made_anew(self) -> sqlite3.Connection:
        """For one that is damaged or of another version: it holds nothing of its own."""
        self.path.unlink(missing_ok=True)
        return self._opened()

    def _opened(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _check_ours(self.path)
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise sqlite3.DatabaseError("an index of another version")
                numbers = f"PRAGMA user_version = {VERSION}; PRAGMA application_id = {_APPLICATION};"
                connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {numbers} COMMIT")
            _bring_up_to_date(connection, self._parts)
        except BaseException:
            connection.close()
            raise
        return connection

    def _lines(self, match: str, most: int, *, exact: bool) -> list[tuple[int, FoundLine]]:
        rows = self._connection.execute(
            "SELECT id, video, start, stop, kind, text FROM found JOIN lines ON lines.id = found.rowid "
            "WHERE found MATCH ? ORDER BY bm25(found), video, start LIMIT ?",
            (match, most),
        )
        return [(row[0], FoundLine(row[1], row[2], row[3], row[4], row[5], exact)) for row in rows]

    def _expanded(self, word: str) -> str:
        """The word, what begins with it, and the words of the store that are near to it."""
        candidates: set[str] = set()
        for where, part in halves(word):
            column, sought = ("word", part) if where == "prefix" else ("reversed", part[::-1])
            rows = self._connection.execute(
                f"SELECT word FROM vocabulary WHERE {column} >= ? AND {column} < ? "
                "AND length(word) BETWEEN ? AND ?",
                (sought, sought + "\U0010ffff", len(word) - 1, len(word) + 1),
            )
            candidates.update(other for (other,) in rows if near(word, other))
        others = [_quoted(other) for other in sorted(candidates - {word})[:_MOST_NEAR]]
        return f"({' OR '.join([f'{_quoted(word)}*', *others])})"


def _check_ours(path: Path) -> None:
    """Raises StoreError for a file that is not an index of ours: it is left as it is."""
    if path.is_symlink():
        raise StoreError(f"{str(path)!r} is a link where the index of words goes: move it away")
    if path.exists():
        with path.open("rb") as file:
            header = file.read(100)  # of SQLite: the application's number at byte 68
        if header and header[68:72] != _APPLICATION.to_bytes(4, "big"):
            raise StoreError(f"{str(path)!r} is not an index of words by Marquee: move it away")


def _word_parts(store: Store) -> Iterator[tuple[PartFile, Footer]]:
    members = members_of(store)
    for table in _TABLES:
        yield from valid_parts(store, current_parts(store, table), members)


def _bring_up_to_date(connection: sqlite3.Connection, parts: Iterable[tuple[PartFile, Footer]]) -> None:
    wanted = {f"{part.table}/{part.path.name}": (part, footer) for part, footer in parts}
    stamps = {name: _stamp(part) for name, (part, _) in wanted.items()}
    known = dict(connection.execute("SELECT name, stamp FROM parts"))
    gone = [name for name in known if stamps.get(name) != known[name]]
    new = [name for name in wanted if stamps[name] != known.get(name)]
    for name in gone:
        with _transaction(connection):
            _forget(connection, name)
    for name in new:
        with _transaction(connection):  # whole or not at all: a search that is stopped leaves no half part
            _forget(connection, name)
            _learn(connection, name, stamps[name], *wanted[name])


def _learn(connection: sqlite3.Connection, name: str, stamp: str, part: PartFile, footer: Footer) -> None:
    number = connection.execute("INSERT INTO parts (name, stamp) VALUES (?, ?)", (name, stamp)).lastrowid
    lane, kind = _LANES[part.table], _TABLES[part.table]
    for video_id, table in rows_by_video(part.path, footer).items():
        if not len(table):
            continue
        made = lane(table)
        for start, end, text in zip(made.starts, made.ends, made.texts, strict=True):
            bare = plain(text)
            values = (number, video_id, kind, start, end, text, bare)
            row = connection.execute(
                "INSERT INTO lines (part, video, kind, start, stop, text, plain) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            ).lastrowid
            connection.execute("INSERT INTO found (rowid, plain) VALUES (?, ?)", (row, bare))
            words = [(word, word[::-1]) for word in set(bare.split())]
            connection.executemany("INSERT OR IGNORE INTO vocabulary VALUES (?, ?)", words)


def _forget(connection: sqlite3.Connection, name: str) -> None:
    number = connection.execute("SELECT number FROM parts WHERE name = ?", (name,)).fetchone()
    if number is not None:
        connection.execute(
            "INSERT INTO found (found, rowid, plain) SELECT 'delete', id, plain FROM lines WHERE part = ?",
            number,
        )
        connection.execute("DELETE FROM lines WHERE part = ?", number)
        connection.execute("DELETE FROM parts WHERE number = ?", number)


def _transaction(connection: sqlite3.Connection) -> Any:
    connection.execute("BEGIN IMMEDIATE")
    return connection  # as a context, commits or rolls back


def _stamp(part: PartFile) -> str:
    found = part.path.stat()
    return f"{found.st_size} {found.st_mtime}"


def _exact(query: Query) -> str:
    return " AND ".join([*(f"{_quoted(word)}*" for word in query.words), *_phrases(query)])


def _phrases(query: Query) -> list[str]:
    return [_quoted(phrase) for phrase in query.phrases]


def _quoted(text: str) -> str:
    return f'"{text}"'  # plain text has no quotation mark
