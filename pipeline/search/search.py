"""Searches of one call, each for itself: words, meaning, pictures, moments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from extract.errors import UsageError
from pipeline.search.hits import Hit, hits_of_lines, hits_of_moments
from pipeline.search.meaning import TABLE, Meaning
from pipeline.search.vectors import Vectors, nearest, vector_at
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


def run_searches(
    store: Store, asked: Searches, *, most: int = 20, weights: Path | None = None, device: str = "auto"
) -> list[Hit]:
    """All hits, search by search. Raises UsageError, StoreError, WeightsError, MediaError."""
    moments = [_moment(text) for text in asked.like]
    hits = _by_words(store, asked.words, most)
    if asked.meaning or asked.images:
        towers = Meaning(store, weights, device=device)
        queries = [*asked.meaning, *map(str, asked.images)]
        vectors = [towers.of_texts(asked.meaning)] if asked.meaning else []
        vectors += [towers.of_pictures(asked.images)] if asked.images else []
        hits += _by_vectors(store, TABLE, queries, np.concatenate(vectors), most)
    if moments:
        vectors = [vector_at(store, asked.by, video, seconds)[0] for video, seconds in moments]
        hits += _by_vectors(store, asked.by, list(asked.like), np.concatenate(vectors), most)
    return hits


def _by_words(store: Store, texts: tuple[str, ...], most: int) -> list[Hit]:
    if not texts:
        return []
    index = WordIndex(store)
    try:
        return [hit for text in texts for hit in hits_of_lines(text, index.search(text, most=most))]
    finally:
        index.close()


def _by_vectors(store: Store, table: str, queries: list[str], vectors: Vectors, most: int) -> list[Hit]:
    found = nearest(store, table, vectors, most=most)
    pairs = zip(queries, found, strict=True)
    return [hit for query, moments in pairs for hit in hits_of_moments(query, moments, table)]


def _moment(text: str) -> tuple[str, float]:
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise UsageError(f"--like {text!r}; the form is VIDEO@SECONDS, as in films/alien@83.2")
    return found[1], float(found[2])
