"""Searches of one call, each for itself: words, meaning, pictures, moments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from extract.errors import UsageError
from pipeline.search.hits import Answer, answer_of_lines, answer_of_moments
from pipeline.search.meaning import TABLE, Meaning
from pipeline.search.part_index import Log
from pipeline.search.vector_rows import Moment
from pipeline.search.vectors import TableVectors, nearest
from pipeline.search.word_index import WordIndex
from pipeline.store.layout import Store

_MOMENT = re.compile(r"(.+)@(\d+(?:\.\d*)?)")


@dataclass(frozen=True)
class Searches:
    """``like``: moments VIDEO@SECONDS, compared by the vectors of the table ``by``."""

    words: tuple[str, ...] = ()
    meaning: tuple[str, ...] = ()
    images: tuple[Path, ...] = ()
    like: tuple[str, ...] = ()
    by: str = TABLE

    def __bool__(self) -> bool:
        return bool(self.words or self.meaning or self.images or self.like)


def run_searches(
    store: Store,
    asked: Searches,
    *,
    most: int = 20,
    weights: Path | None = None,
    device: str = "auto",
    log: Log = lambda text: None,
) -> list[Answer]:
    """What each search found: those of words, of meaning, of pictures, of moments, in this order.

    ``log`` is told of indices that are made, or made anew.

    Raises UsageError, StoreError, WeightsError, MediaError.
    """
    moments = [_moment(text) for text in asked.like]
    answers = _by_words(store, asked.words, most, log)
    if asked.meaning or asked.images:
        towers = Meaning(store, weights, device=device)
        queries = [*asked.meaning, *map(str, asked.images)]
        vectors = [towers.of_texts(asked.meaning)] if asked.meaning else []
        vectors += [towers.of_pictures(asked.images)] if asked.images else []
        found = nearest(store, TABLE, np.concatenate(vectors), most=most, log=log)
        answers += _answers(queries, found, TABLE)
    if moments:
        with closing(TableVectors(store, asked.by, log)) as table:
            vectors = [table.at(video, seconds)[0] for video, seconds in moments]
            answers += _answers(asked.like, table.nearest(np.concatenate(vectors), most), asked.by)
    return answers


def _by_words(store: Store, texts: tuple[str, ...], most: int, log: Log) -> list[Answer]:
    if not texts:
        return []
    with closing(WordIndex(store, log)) as index:
        return [answer_of_lines(text, index.search(text, most=most)) for text in texts]


def _answers(queries: Sequence[str], found: Sequence[list[Moment]], table: str) -> list[Answer]:
    pairs = zip(queries, found, strict=True)
    return [answer_of_moments(query, moments, table) for query, moments in pairs]


def _moment(text: str) -> tuple[str, float]:
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise UsageError(f"--like {text!r}; the form is VIDEO@SECONDS, as in films/alien@83.2")
    return found[1], float(found[2])
