"""The benchmark of search in a store of a few videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.search import Corpus, Words, answer, bench, build_vectors, build_words, grow, meanings, slip
from pipeline.search.vectors import nearest
from pipeline.store.layout import Store, open_store
from pipeline.store.reading import read

CORPUS = Corpus(videos=70, keyframes=3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(tmp_path_factory.mktemp("bench") / "features", create=True)
    CORPUS.write(store)
    return store


def test_words_are_common_and_rare_and_some_are_wrong() -> None:
    random, words = np.random.default_rng(0), Words()
    lines = words.lines(random, 3000, 9)
    assert len(lines) == 3000 and {len(line.split()) for line in lines} == set(range(2, 10))
    drawn = [word for line in lines for word in line.split()]
    known = set(words.all)
    assert drawn.count(words.all[0]) > 5 * drawn.count(words.all[50]) > 0
    assert 0.005 < np.mean([word not in known for word in drawn]) < 0.03
    wrong = slip("barada", random)
    assert (
        len(wrong) == 6 and wrong[0] == "b" and sum(a != b for a, b in zip(wrong, "barada", strict=True)) <= 1
    )


def test_the_store_is_whole_and_every_kind_is_answered(store: Store) -> None:
    assert len(read(store, "clip")) == 70 * 3 and len(read(store, "whisper")) == 70 * 20
    CORPUS.write(store)  # what is there stays
    assert store.shards() == [0, 1] and len(read(store, "ocr")) == 70 * 12
    assert build_words(store)["bytes"] > 0
    pytest.importorskip("faiss", reason="marquee-video[index] is not installed")
    assert build_vectors(store)["vectors"] == 70 * 3 * 512 * 2
    found = answer(store, CORPUS, 4)
    assert {kind: len(own["warm"]) for kind, own in found["seconds"].items()} == {
        "word": 4, "common word": 3, "phrase": 4, "slip": 4, "meaning": 4, "like": 4,
    }  # fmt: skip
    assert found["recall"] == {"meaning": 1.0, "like": 1.0}
    assert min(grow(store, CORPUS).values()) > 0 and len(read(store, "clip")) == (70 + 64) * 3
    (moments,) = nearest(store, "clip", meanings(1), most=3)
    assert 0.1 < moments[0].cosine < 0.95, "apart from pictures"


@pytest.mark.slow
def test_all_of_it_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faiss", reason="marquee-video[index] is not installed")
    bench(tmp_path, Corpus(videos=20, keyframes=2), 2)
    shown = capsys.readouterr().out
    assert "| common word |" in shown and "recall@10: meaning 1.0000" in shown and "command: word" in shown
