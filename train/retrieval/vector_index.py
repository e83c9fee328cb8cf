"""The nearest of a million vectors in a few milliseconds, by FAISS, with exact cosines at the end.

Vectors are cut to their 256 strongest directions (PCA), grouped into lists around centres (IVF) and kept
there as bytes. A query goes through the lists of the nearest centres, and the best candidates are compared
again, exactly, with the vectors in the file. How many lists and candidates that takes is measured when the
index is built, on videos of its own.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.errors import MissingDependency
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
    """An index of a :class:`VectorFile`: ``index.faiss``, ``index.npy``, ``index.json`` beside it.

    ``turn`` (width, directions) are the directions that it sees.
    """

    def __init__(self, vectors: VectorFile, turn: Vectors, lists: Any, search: Search) -> None:
        self.vectors, self.search = vectors, search
        self._turn, self._lists = turn, lists

    @classmethod
    def build(cls, vectors: VectorFile, *, seed: int = 0) -> VectorIndex:
        """Train it on some of the vectors, add all, and measure how to search it. Writes the files."""
        faiss = _faiss()
        random = np.random.default_rng(seed)
        turn, count = _directions(vectors, random), list_count(vectors.count)
        width = turn.shape[1]
        lists = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatL2(width), width, count, faiss.ScalarQuantizer.QT_8bit
        )
        lists.cp.seed = seed
        lists.train(_sample(vectors, ROWS_OF_A_LIST * count, random, turn))
        for _, block in vectors.blocks():
            lists.add(block @ turn)
        built = cls(vectors, turn, lists, Search(count, max(CANDIDATES), 0.0))
        built.search = built._measured(random)
        with atomic(_path(vectors, "faiss")) as temporary:
            faiss.write_index(lists, str(temporary))
        with atomic(_path(vectors, "npy")) as temporary, temporary.open("wb") as file:
            np.save(file, turn)
        with atomic(_path(vectors, "json")) as temporary:  # the last one: where it is, the others are
            temporary.write_text(json.dumps(asdict(built.search)) + "\n", "utf-8")
        return built

    @classmethod
    def open(cls, vectors: VectorFile, *, seed: int = 0) -> VectorIndex:
        """The index that is there, or else a new one."""
        faiss, described = _faiss(), _path(vectors, "json")
        if not described.exists():
            return cls.build(vectors, seed=seed)
        search = Search(**json.loads(described.read_text("utf-8")))
        lists = faiss.read_index(str(_path(vectors, "faiss")))
        return cls(vectors, np.load(_path(vectors, "npy")), lists, search)

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
        settings = _faiss().SearchParametersIVF(nprobe=lists)
        found: Numbers = self._lists.search(queries @ self._turn, most, params=settings)[1]
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


def _directions(vectors: VectorFile, random: np.random.Generator) -> Vectors:
    """The strongest directions of some of the vectors; all, where there are few or the vectors too few.

    Distances do not change when all vectors are shifted, so nothing is taken away from them.
    """
    if vectors.width <= DIRECTIONS or vectors.count < 4 * DIRECTIONS:
        return np.eye(vectors.width, dtype=np.float32)
    some = _sample(vectors, PCA_ROWS, random)
    some -= some.mean(axis=0)
    strongest = np.linalg.eigh(some.T @ some)[1][:, -DIRECTIONS:]
    return np.ascontiguousarray(strongest, np.float32)


def _sample(
    vectors: VectorFile, most: int, random: np.random.Generator, turn: Vectors | None = None
) -> Vectors:
    """At most so many vectors, drawn at random, in the directions of ``turn``."""
    chosen = np.sort(random.permutation(vectors.count)[:most])
    pieces = np.array_split(chosen, max(1, len(chosen) // 4096))
    read = (vectors.rows(piece) for piece in pieces)
    return np.concatenate([rows if turn is None else rows @ turn for rows in read])


def _recall(exact: NDArray[Any], found: NDArray[Any]) -> float:
    """The share of each row of ``exact`` that is in that of ``found``, averaged."""
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]))


def _path(vectors: VectorFile, suffix: str) -> Path:
    return vectors.path.with_name(f"index.{suffix}")


def _faiss() -> Any:
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise MissingDependency(
            "an index needs a package that is not there: pip install 'marquee[retrieve]', or search exactly "
            "with --exact"
        ) from error
    return faiss
