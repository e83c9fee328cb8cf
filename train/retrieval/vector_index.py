"""The nearest of a million vectors in a few milliseconds, by FAISS, with exact cosines at the end.

Vectors are cut to their 256 strongest directions (PCA), grouped into lists around centres (IVF) and kept
there as bytes. A query goes through the lists of the nearest centres, and the best candidates are compared
again, exactly, with the vectors in the file. How many lists and candidates that takes is measured when the
index is built, on videos of its own.

The last comparison is ours: FAISS's IndexRefine holds every vector in memory, 4 GB of a million of 2048
values even as float16, while here those of the candidates alone are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.errors import MissingDependency, to_install
from pipeline.storage.atomic import atomic
from train.retrieval.vector_file import Numbers, VectorFile, Vectors, best

DIRECTIONS = 256
PCA_ROWS = 32_768
ROWS_OF_A_LIST = 40  # to train its centre; FAISS wants 39 at least
NEIGHBOURS = 10  # that the measured recall is of
RECALL = 0.997  # of what exact search finds; other queries may miss a little more
QUERIES = 256  # to measure it
FEWEST_LISTS = 8
CANDIDATES = (32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Search:
    """``lists`` are gone through, ``candidates`` compared exactly; ``recall`` is what that reached."""

    lists: int
    candidates: int
    recall: float


class VectorIndex:
    """An index of a :class:`VectorFile`: ``index.faiss`` and ``index.json`` beside it."""

    def __init__(self, vectors: VectorFile, index: Any, search: Search) -> None:
        self.vectors, self.search = vectors, search
        self._index = index

    @classmethod
    def build(cls, vectors: VectorFile, *, seed: int = 0) -> VectorIndex:
        """Train it on some of the vectors, add all, and measure how to search it. Writes the files."""
        random = np.random.default_rng(seed)
        index, count = _trained(vectors, random, seed=seed), list_count(vectors.count)
        for _, block in vectors.blocks():
            index.add(block)
        built = cls(vectors, index, Search(count, max(CANDIDATES), 0.0))
        built.search = built._measured(random)
        with atomic(_path(vectors, "faiss")) as temporary:
            _faiss().write_index(index, str(temporary))
        with atomic(_path(vectors, "json")) as temporary:  # the last one: where it is, the other is
            temporary.write_text(json.dumps(asdict(built.search)) + "\n", "utf-8")
        return built

    @classmethod
    def open(cls, vectors: VectorFile, *, seed: int = 0) -> VectorIndex:
        """The index that is there, or else a new one; also where it is that of an older version."""
        faiss, described = _faiss(), _path(vectors, "json")
        if described.exists():
            index = faiss.read_index(str(_path(vectors, "faiss")))
            if (index.d, index.ntotal) == (vectors.width, vectors.count):
                return cls(vectors, index, Search(**json.loads(described.read_text("utf-8"))))
        return cls.build(vectors, seed=seed)

    def nearest(self, queries: Vectors, most: int) -> tuple[Numbers, Vectors]:
        """As :meth:`VectorFile.nearest`, among the candidates. Where those are fewer, numbers are -1."""
        found = self._candidates(queries, self.search.lists, max(self.search.candidates, 3 * most))
        numbers = np.full((len(queries), most), -1, np.int64)
        cosines = np.full((len(queries), most), -np.inf, np.float32)
        for i, (row, query) in enumerate(zip(found, queries, strict=True)):
            there = row[row >= 0]
            exact = self.vectors.rows(there) @ query
            nearest, values = best(there[None], exact[None], most)
            numbers[i, : nearest.shape[1]], cosines[i, : nearest.shape[1]] = nearest[0], values[0]
        return numbers, cosines

    def _candidates(self, queries: Vectors, lists: int, most: int) -> Numbers:
        """Numbers, (queries, most), nearest first; -1 where there are no more."""
        _faiss().extract_index_ivf(self._index).nprobe = lists
        found: Numbers = self._index.search(queries, most)[1]
        return found

    def _measured(self, random: np.random.Generator) -> Search:
        """The fewest lists, and then candidates, with which recall is reached; else the most of both."""
        chosen = np.sort(random.permutation(self.vectors.count)[:QUERIES])
        queries = self.vectors.rows(chosen)
        exact = self.vectors.nearest(queries, NEIGHBOURS + 1)[0][:, 1:]  # the first is itself
        lists, every = FEWEST_LISTS, self.search.lists
        while True:
            lists = min(lists, every)
            found = self._candidates(queries, lists, max(CANDIDATES))
            for candidates in CANDIDATES:
                search = Search(lists, candidates, _recall(exact, found[:, :candidates]))
                if search.recall >= RECALL:
                    return search
            if lists == every:
                return search
            lists *= 2


def list_count(vectors: int) -> int:
    """4 times the square root, a power of two, but not so many that they could not be trained."""
    wanted = 2 ** round(np.log2(4 * np.sqrt(max(1, vectors))))
    return int(max(1, min(wanted, vectors // ROWS_OF_A_LIST)))


def _trained(vectors: VectorFile, random: np.random.Generator, *, seed: int) -> Any:
    """An empty index: first the strongest directions, if there are more, then lists of bytes.

    It is trained in two steps, so that the many vectors for the centres are cut before they add up in memory.
    """
    faiss, count = _faiss(), list_count(vectors.count)
    if vectors.width > DIRECTIONS and vectors.count >= 4 * DIRECTIONS:
        turn = faiss.PCAMatrix(vectors.width, DIRECTIONS)
        turn.train(np.concatenate(list(_sample(vectors, PCA_ROWS, random))))
    else:  # all directions, or too few vectors to tell which are strong
        turn = None
    width = vectors.width if turn is None else DIRECTIONS
    centres = faiss.IndexFlatL2(width)
    lists = faiss.IndexIVFScalarQuantizer(centres, width, count, faiss.ScalarQuantizer.QT_8bit)
    lists.cp.seed = seed
    some = _sample(vectors, ROWS_OF_A_LIST * count, random)
    lists.train(np.concatenate([rows if turn is None else turn.apply(rows) for rows in some]))
    return lists if turn is None else faiss.IndexPreTransform(turn, lists)


def _sample(vectors: VectorFile, most: int, random: np.random.Generator) -> Iterator[Vectors]:
    """At most so many vectors, drawn at random, some at a time."""
    chosen = np.sort(random.permutation(vectors.count)[:most])
    for piece in np.array_split(chosen, max(1, len(chosen) // 4096)):
        yield vectors.rows(piece)


def _recall(exact: NDArray[Any], found: NDArray[Any]) -> float:
    """The share of each row of ``exact`` that is in that of ``found``, averaged."""
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]))


def remove_index(folder: Path) -> None:
    """Delete the files of an index, and nothing else."""
    for suffix in ("json", "faiss"):
        (folder / f"index.{suffix}").unlink(missing_ok=True)


def _path(vectors: VectorFile, suffix: str) -> Path:
    return vectors.path.with_name(f"index.{suffix}")


def _faiss() -> Any:
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"an index needs a package that is not installed: {to_install('retrieve')}, or search "
            "exactly with --exact"
        ) from error
    return faiss
