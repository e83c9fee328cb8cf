"""Vectors in a file, and an index of them against exact search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extract.errors import MissingDependency, StoreError
from pipeline.vectors import vector_file, vector_index
from pipeline.vectors.vector_file import VectorFile, best, unit
from pipeline.vectors.vector_index import VectorIndex, list_count

WIDTH = 12


def clustered(count: int = 600, width: int = WIDTH) -> Any:
    """Of half precision, as stores have them."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((20, width))
    points = centres[random.integers(20, size=count)] + 0.3 * random.standard_normal((count, width))
    return points.astype(np.float16).astype(np.float32)


@pytest.fixture
def written(tmp_path: Path) -> VectorFile:
    points = clustered()
    return VectorFile.write(tmp_path / "vectors.f16", [points[:250], points[250:]])


def by_sorting(points: Any, queries: Any, most: int) -> Any:
    return np.argsort(-(queries @ points.T), axis=1, kind="stable")[:, :most]


def test_vectors_come_back_with_unit_length(written: VectorFile) -> None:
    stored = unit(clustered())  # to the last bit
    assert (written.count, written.width) == (600, WIDTH)
    np.testing.assert_array_equal(written.rows(np.array([599, 0, 0])), stored[[599, 0, 0]])
    np.testing.assert_array_equal(np.concatenate([block for _, block in written.blocks()]), stored)


def test_exact_search_is_sorting_all(written: VectorFile, monkeypatch: pytest.MonkeyPatch) -> None:
    points = unit(clustered())
    queries = written.rows(np.array([3, 77, 410]))
    monkeypatch.setattr(vector_file, "_BLOCK_BYTES", 4 * WIDTH * 90)  # seven blocks
    numbers, cosines = written.nearest(queries, 5)
    np.testing.assert_array_equal(numbers, by_sorting(points, queries, 5))
    np.testing.assert_allclose(cosines, np.take_along_axis(queries @ points.T, numbers, 1), atol=1e-6)
    everything, _ = written.nearest(queries, 1000)
    np.testing.assert_array_equal(np.sort(everything, axis=1), np.tile(np.arange(600), (3, 1)))


def test_the_best_are_in_order() -> None:
    numbers, cosines = best(np.array([[4, 7, 9]]), np.array([[0.1, 0.9, 0.5]], np.float32), 2)
    assert numbers.tolist() == [[7, 9]] and cosines[0].tolist() == pytest.approx([0.9, 0.5])


def test_a_file_that_was_cut_is_refused(written: VectorFile) -> None:
    written.path.write_bytes(written.path.read_bytes()[:-1])
    with pytest.raises(StoreError, match="does not hold 600 vectors of 12 values"):
        VectorFile(written.path, 600, WIDTH)


def test_vectors_are_written_behind_those_that_count(written: VectorFile) -> None:
    """Over what a killed process left there, whatever their length."""
    shorter = written.part(0, 500)
    longer = shorter.appended(1e15 * np.ones((2, WIDTH), np.float32))
    assert longer.count == 502 and len(longer.rows(np.arange(502))) == 502
    np.testing.assert_allclose(longer.rows(np.array([500, 501])), WIDTH**-0.5, rtol=1e-3)
    np.testing.assert_array_equal(longer.rows(np.arange(500)), shorter.rows(np.arange(500)))
    np.testing.assert_array_equal(
        written.part(510, 600).rows(np.array([0, 89])), unit(clustered())[[510, 599]]
    )


def test_vectors_of_nothing_stay_zero(tmp_path: Path) -> None:
    made = VectorFile.write(tmp_path / "v", [np.array([[0, 0], [3, 4]], np.float32)])
    np.testing.assert_allclose(made.rows(np.array([0, 1])), np.array([[0.0, 0], [0.6, 0.8]]), atol=1e-3)


@pytest.fixture
def faiss() -> Any:
    return pytest.importorskip("faiss", reason="marquee-video[index] is not installed")


@pytest.mark.parametrize("directions", [256, 8])
def test_the_index_finds_what_exact_search_finds(
    faiss: Any, written: VectorFile, directions: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 8 of 12 directions and few candidates, it has to compare candidates exactly to do so."""
    monkeypatch.setattr(vector_index, "DIRECTIONS", directions)
    index = VectorIndex.open(written, tmp_path / "index")
    assert index.recall >= 0.997 and index.uncovered() == []
    queries = written.rows(np.arange(0, 600, 20))
    numbers, cosines = index.nearest(queries, 10)
    exact, exact_cosines = written.nearest(queries, 10)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(exact, numbers, strict=True)]) >= 0.99
    np.testing.assert_allclose(cosines[:, 0], exact_cosines[:, 0], atol=1e-6)
    again = VectorIndex.open(written, tmp_path / "index")
    assert again.blocks == index.blocks
    np.testing.assert_array_equal(again.nearest(queries, 10)[0], numbers)


def test_more_lists_and_candidates_are_taken_until_recall_is_reached(
    faiss: Any, written: VectorFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_index, "FEWEST_LISTS", 1)
    monkeypatch.setattr(vector_index, "CANDIDATES", (11, 64))

    def reached(recall: float) -> vector_index.Search:
        monkeypatch.setattr(vector_index, "RECALL", recall)
        (block,) = VectorIndex.open(written, tmp_path / str(recall)).blocks
        return block.search

    some, more, most = reached(0.5), reached(0.99), reached(2.0)
    assert (some.lists, some.candidates) == (1, 11) and 0.5 <= some.recall < more.recall
    assert 1 < more.lists < most.lists == list_count(600), "the most, where nothing reaches it"
    assert most.candidates == 64 and more.recall >= 0.99


@pytest.mark.parametrize("rows", [1 << 20, 256])
def test_a_longer_file_adds_to_the_last_block(
    faiss: Any, written: VectorFile, tmp_path: Path, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose centres are trained again once it has more than doubled; vectors in no block are compared."""
    monkeypatch.setattr(vector_index, "BLOCK_ROWS", rows)
    folder = tmp_path / "index"
    assert VectorIndex.open(written.part(0, 200), folder).blocks[-1].trained == 200
    ends = {300: 300, 400: 400, 600: 600} if rows == 256 else {300: 200, 400: 200, 600: 600}
    for count, trained in ends.items():
        index = VectorIndex(written.part(0, count), folder)
        assert sum(end - first for first, end in index.uncovered()) > 0
        queries = written.rows(np.arange(0, count, 20))
        before = index.nearest(queries, 5)
        index.grow()
        assert index.uncovered() == [] and index.blocks[-1].end == count
        assert index.blocks[-1].first + index.blocks[-1].trained == trained
        for numbers, _ in (before, index.nearest(queries, 5)):
            exact = written.part(0, count).nearest(queries, 5)[0]
            assert np.mean([np.isin(a, b).mean() for a, b in zip(exact, numbers, strict=True)]) >= 0.98
    assert all(block.first % 256 == 0 for block in index.blocks)
    assert {path.name for path in folder.iterdir()} == {"index.json", *(block.file for block in index.blocks)}


def test_vectors_that_do_not_count_are_not_found(faiss: Any, written: VectorFile, tmp_path: Path) -> None:
    index = VectorIndex.open(written.part(0, 500), tmp_path / "index")
    index = VectorIndex(written, tmp_path / "index")
    alive = np.arange(600) % 3 == 0
    queries = written.rows(np.arange(0, 600, 40))
    for numbers in (index.nearest(queries, 200, alive)[0], written.nearest(queries, 200, alive)[0]):
        np.testing.assert_array_equal(np.sort(numbers, axis=1), np.tile(np.flatnonzero(alive), (15, 1)))


def test_an_index_of_other_vectors_is_built_anew(
    faiss: Any, written: VectorFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that was written by another program: its lists are narrower than the vectors."""
    monkeypatch.setattr(vector_index, "DIRECTIONS", 8)
    built = VectorIndex.open(written, tmp_path / "index")
    queries = written.rows(np.arange(0, 600, 20))
    before = built.nearest(queries, 10)[0]
    path = tmp_path / "index" / built.blocks[0].file
    whole = faiss.read_index(str(path))
    path.unlink()  # others have it open
    faiss.write_index(faiss.extract_index_ivf(whole), str(path))
    again = VectorIndex.open(written, tmp_path / "index")
    np.testing.assert_array_equal(again.nearest(queries, 10)[0], before)
    assert again.blocks[0].file != built.blocks[0].file


def test_a_few_vectors_have_an_index_too(faiss: Any, tmp_path: Path) -> None:
    few = VectorFile.write(tmp_path / "v", [np.eye(3, dtype=np.float32)])
    index = VectorIndex.open(few, tmp_path / "index")
    numbers, cosines = index.nearest(np.eye(3, dtype=np.float32)[:1], 4)
    assert numbers[0, 0] == 0 and set(numbers[0].tolist()) == {0, 1, 2, -1} and cosines[0, 0] == 1


def test_there_are_no_more_lists_than_can_be_trained() -> None:
    assert [list_count(n) for n in (0, 3, 600, 50_000, 1_000_000)] == [1, 1, 15, 512, 2048]


def test_without_faiss_it_is_said_what_to_install(
    written: VectorFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingDependency, match=r"pip install 'marquee-video\[index\]'"):
        VectorIndex.open(written, tmp_path / "index")
