"""Nearest rows of a store against a plain computation, and the vector of a moment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from extract.errors import UsageError
from pipeline.search.search import Searches, run_searches
from pipeline.search.vectors import TableVectors, nearest
from pipeline.store.layout import Store
from tests.pipeline.about.conftest import write_tables
from tests.pipeline.conftest import Kit

RANDOM = np.random.default_rng(3)
VECTORS = {name: RANDOM.normal(size=(count, 512)).astype(np.float32) for name, count in (("a", 9), ("b", 4))}
VECTORS["b"][2] = 0  # of no direction


@pytest.fixture
def store(kit: Kit) -> Store:
    kit.add("a.mp4", "b.mp4")
    store = kit.store()
    kit.plan()
    rows: dict[str, list[dict[str, Any]]] = {
        name: [
            {"start_seconds": 2.0 * i, "end_seconds": 2.0 * i + 1, "scene": i, "embedding": vector}
            for i, vector in enumerate(vectors)
        ]
        for name, vectors in VECTORS.items()
    }
    kit.record(store, write_tables(store, "clip", {}, {"clip": rows}))
    return store


def test_the_likest_come_first_whatever_the_batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sought = RANDOM.normal(size=(3, 512)).astype(np.float32)
    everything = [(name, 2.0 * i, v) for name, own in VECTORS.items() for i, v in enumerate(own) if v.any()]
    for rows in (1 << 15, 5, 1):
        monkeypatch.setattr("pipeline.search.vectors._ROWS", rows)
        for query, found in zip(sought, nearest(store, "clip", sought, most=6), strict=True):
            cosines = [float(v @ query / np.linalg.norm(v) / np.linalg.norm(query)) for *_, v in everything]
            best = np.argsort(cosines)[::-1][:6]
            assert [(m.video_id, m.start_seconds) for m in found] == [everything[i][:2] for i in best]
            np.testing.assert_allclose([m.cosine for m in found], np.array(cosines)[best], atol=1e-5)


def test_fewer_rows_than_asked_for(store: Store) -> None:
    (found,) = nearest(store, "clip", VECTORS["a"][:1], most=99)
    assert len(found) == 12 and found[0].cosine == pytest.approx(1)


@pytest.mark.parametrize(("seconds", "row"), [(0.0, 0), (4.5, 2), (5.4, 2), (5.6, 3), (999.0, 8)])
def test_the_vector_of_a_moment_is_that_on_screen_or_nearest(store: Store, seconds: float, row: int) -> None:
    vector, start, end = TableVectors(store, "clip").at("a", seconds)
    np.testing.assert_array_equal(vector, VECTORS["a"][row : row + 1])
    assert (start, end) == (2.0 * row, 2.0 * row + 1)


def test_like_a_moment_finds_the_moment_first(store: Store) -> None:
    answers = run_searches(store, Searches(like=("a@4.2", "b@0")), most=2)
    firsts = [answer.hits[0] for answer in answers]
    assert [(hit.query, hit.video_id, hit.start_seconds) for hit in firsts] == [
        ("a@4.2", "a", 4.0),
        ("b@0", "b", 0.0),
    ]
    assert firsts[0].score == pytest.approx(1, abs=1e-3) and firsts[0].why == "like in clip"


@pytest.mark.parametrize(
    ("like", "by", "said"),
    [
        ("a", "clip", "the form is VIDEO@SECONDS"),
        ("a@x", "clip", "the form is VIDEO@SECONDS"),
        ("A@1", "clip", "not in the store; did you mean 'a'"),
        ("a@1", "clipp", "did you mean 'clip'"),
    ],
)
def test_what_is_not_there_is_said(store: Store, like: str, by: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run_searches(store, Searches(like=(like,), by=by))


def test_a_table_without_vectors_says_so(films: Store) -> None:
    with pytest.raises(UsageError, match="table 'ocr' has no vectors to compare"):
        run_searches(films, Searches(like=("films/a@1",), by="ocr"))
