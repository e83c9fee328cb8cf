"""An index of all words of a store: a file of SQLite's full-text search beside it, which grows with it.

A line of text is found by its words, whatever their case and accents; words that are near to a sought one
come from a list of all words, which is searched from either end.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal

from extract.errors import StoreError
from extract.tables import timed_rows
from pipeline.report.lanes import speech, titles
from pipeline.report.video_tables import rows_by_video
from pipeline.search.part_index import Follower, Format, Log, connect, follow, index_path, is_damaged, remove
from pipeline.search.query import Query, halves, near, plain
from pipeline.store.footer import Footer
from pipeline.store.layout import PartFile, Store
from pipeline.store.reading import current_parts

Kind = Literal["title", "speech"]

_TABLES: dict[str, Kind] = {"ocr": "title", "whisper": "speech"}
_LANES = {"ocr": titles, "whisper": speech}
_MOST_RANKED = 50_000  # lines, the first in the store: what says little in so many says little in more
_MOST_NEAR = 64  # words that are taken for one that is sought
_SCHEMA = """
CREATE TABLE lines (
    id INTEGER PRIMARY KEY, part INTEGER, video TEXT, kind TEXT, start REAL, stop REAL, text TEXT, plain TEXT
);
CREATE INDEX lines_of_part ON lines (part);
CREATE VIRTUAL TABLE found USING fts5(plain, content='lines', content_rowid='id', prefix='2 3');
CREATE TABLE vocabulary (word TEXT PRIMARY KEY, reversed TEXT) WITHOUT ROWID;
CREATE INDEX backwards ON vocabulary (reversed);
"""
_BEST = """
SELECT id, video, start, stop, kind, text FROM (
    SELECT number, score FROM (
        SELECT rowid AS number, bm25(found) AS score FROM found WHERE found MATCH ? LIMIT ?
    ) ORDER BY score, number LIMIT ?
) JOIN lines ON lines.id = number ORDER BY score, number
"""
_FORMAT = Format(application=0x4D515745, version=2, schema=_SCHEMA)  # "MQWE"


@dataclass(frozen=True)
class FoundLine:
    """A line of words of a video; ``exact`` unless a word is only near to what was sought."""

    video_id: str
    start_seconds: float
    end_seconds: float
    kind: Kind
    text: str
    exact: bool


class WordIndex:
    """The index of a store, up to date when it is made. Raises StoreError where the store has no words."""

    def __init__(self, store: Store, log: Log = lambda text: None) -> None:
        self.path = index_path(store, "words.sqlite")
        self._store, self._log = store, log
        if not any(current_parts(store, table) for table in _TABLES):
            raise self._no_words()
        try:
            self._connection = self._opened()
        except sqlite3.DatabaseError as error:
            self._connection = self._made_anew(error)

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
        except sqlite3.DatabaseError as error:
            self._connection.close()
            self._connection = self._made_anew(error)
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

    def _made_anew(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        """For one that is damaged or of another version: it holds nothing of its own."""
        if is_damaged(error):
            self._log(f"{str(self.path)!r} cannot be read ({error}): it is made anew")
            remove(self.path)
        return self._opened()

    def _no_words(self) -> StoreError:
        root = str(self._store.root)
        return StoreError(f"{root!r} has no words: extract with --experts +ocr or +whisper to get some")

    def _opened(self) -> sqlite3.Connection:
        connection = connect(self.path, _FORMAT)
        try:
            if not follow(connection, self._store, _TABLES, Follower(_learn, _forget), self._log):
                raise self._no_words()
        except BaseException:
            connection.close()
            raise
        return connection

    def _lines(self, match: str, most: int, *, exact: bool) -> list[tuple[int, FoundLine]]:
        rows = self._connection.execute(_BEST, (match, _MOST_RANKED, most))
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


def _learn(connection: sqlite3.Connection, number: int, part: PartFile, footer: Footer) -> None:
    lane, kind = _LANES[part.table], _TABLES[part.table]
    first = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM lines").fetchone()[0]
    lines: list[tuple[int, int, str, str, float, float, str, str]] = []
    for video_id, table in rows_by_video(part.path, footer).items():
        timed = timed_rows(table)
        if len(timed):
            made = lane(timed)
            for start, end, text in zip(made.starts, made.ends, made.texts, strict=True):
                lines.append((first + len(lines), number, video_id, kind, start, end, text, plain(text)))
    connection.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?, ?, ?)", lines)
    connection.executemany(
        "INSERT INTO found (rowid, plain) VALUES (?, ?)", ((line[0], line[-1]) for line in lines)
    )
    words = sorted({word for line in lines for word in line[-1].split()})
    connection.executemany(
        "INSERT OR IGNORE INTO vocabulary VALUES (?, ?)", ((word, word[::-1]) for word in words)
    )


def _forget(connection: sqlite3.Connection, number: int) -> None:
    connection.execute(
        "INSERT INTO found (found, rowid, plain) SELECT 'delete', id, plain FROM lines WHERE part = ?",
        (number,),
    )
    connection.execute("DELETE FROM lines WHERE part = ?", (number,))


def _exact(query: Query) -> str:
    return " AND ".join([*(f"{_quoted(word)}*" for word in query.words), *_phrases(query)])


def _phrases(query: Query) -> list[str]:
    return [_quoted(phrase) for phrase in query.phrases]


def _quoted(text: str) -> str:
    return f'"{text}"'  # plain text has no quotation mark
