"""The nearest of millions of vectors in milliseconds, by FAISS, with exact cosines at the end.

The file is indexed in blocks of a million vectors, so that building takes the memory of one block, whatever
the file's length, and a file that grows changes no block but the last. A block's vectors are cut to their 256
strongest directions (PCA), grouped into lists around centres (IVF) and kept there as bytes. A query goes
through the lists of the nearest centres, which are read from the disk, and the best candidates are compared
again, exactly, with the vectors in the file. How many lists and candidates that takes is measured when a
block is built, on vectors of its own. Vectors in no block are all compared.

The last comparison is ours: FAISS's IndexRefine holds every vector in memory, 4 GB of a million of 2048
values even as float16, while here those of the candidates alone are read.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.errors import MissingDependency, to_install
from pipeline.storage.atomic import atomic
from pipeline.vectors.vector_file import Mask, Numbers, VectorFile, Vectors, best

BLOCK_ROWS = 1 << 20
DIRECTIONS = 256
PCA_ROWS = 32_768
ROWS_OF_A_LIST = 40  # to train its centre; FAISS wants 39 at least
NEIGHBOURS = 10  # that the measured recall is of
RECALL = 0.997  # of what exact search finds; other queries may miss a little more
QUERIES = 256  # to measure it
FEWEST_LISTS = 8
CANDIDATES = (32, 64, 128, 256, 512)
MOST_GROWTH = 2  # of a block, before its centres are trained again
_DESCRIBED = "index.json"


@dataclass(frozen=True)
class Search:
    """``lists`` are gone through, ``candidates`` compared exactly; ``recall`` is what that reached."""

    lists: int
    candidates: int
    recall: float


@dataclass(frozen=True)
class Block:
    """The vectors from ``first`` to before ``end``, in a file of FAISS of ``size_bytes``.

    Centres and ``search`` are those of the first ``trained`` vectors.
    """

    file: str
    size_bytes: int
    first: int
    end: int
    trained: int
    search: Search


class VectorIndex:
    """An index of a :class:`VectorFile`: a folder with a file for each block, and ``index.json``."""

    def __init__(self, vectors: VectorFile, folder: Path) -> None:
        """What is there of it and whole."""
        self.vectors, self.folder = vectors, folder
        self._opened: dict[str, Any] = {}
        self.blocks = tuple(block for block in _described(folder) if self._is_whole(block))

    @classmethod
    def open(cls, vectors: VectorFile, folder: Path, *, seed: int = 0) -> VectorIndex:
        """The index that is there, or else a new one; its blocks cover every vector."""
        index = cls(vectors, folder)
        index.grow(seed=seed)
        return index

    def uncovered(self) -> list[tuple[int, int]]:
        """Ranges of vectors that are in no block."""
        ends = [0, *(block.end for block in self.blocks)]
        firsts = [*(block.first for block in self.blocks), self.vectors.count]
        return [(end, first) for end, first in zip(ends, firsts, strict=True) if end < first]

    @property
    def recall(self) -> float:
        """What was measured when the blocks were built, averaged over their vectors; 1 without blocks."""
        rows = [block.end - block.first for block in self.blocks]
        return (
            float(np.average([block.search.recall for block in self.blocks], weights=rows)) if rows else 1.0
        )

    def grow(self, *, seed: int = 0, log: Callable[[str], None] = lambda text: None) -> None:
        """Take in the vectors that are in no block; each block is on the disk before the next is begun.

        Only one process may do so at a time; others may search meanwhile. Raises MissingDependency.
        """
        while gaps := self.uncovered():
            begin, end = gaps[0]
            before = next((block for block in self.blocks if block.end == begin), None)
            if before is not None and before.end - before.first < BLOCK_ROWS:
                begin = before.first
            else:
                before = None
            made = self._built(begin, min(end, begin + BLOCK_ROWS), before, seed)
            kept = [block for block in self.blocks if block is not before]
            self._write([*kept, made])
            log(f"vectors {made.first:,} to {made.end:,} are indexed, recall@10 {made.search.recall:.3f}")

    def nearest(self, queries: Vectors, most: int, alive: Mask | None = None) -> tuple[Numbers, Vectors]:
        """As :meth:`VectorFile.nearest`, among the candidates. Where those are fewer, numbers are -1."""
        numbers = np.full((len(queries), most), -1, np.int64)
        cosines = np.full((len(queries), most), -np.inf, np.float32)
        covered = [(block.first, block.end, block) for block in self.blocks]
        for first, end, block in [*covered, *((*gap, None) for gap in self.uncovered())]:
            part, mask = self.vectors.part(first, end), None if alive is None else alive[first:end]
            if block is None:
                found = part.nearest(queries, most, mask)
            else:
                found = self._in_block(block, part, queries, most, mask)
            numbers = np.concatenate([numbers, np.where(found[0] < 0, -1, first + found[0])], axis=1)
            cosines = np.concatenate([cosines, found[1]], axis=1)
            numbers, cosines = best(numbers, cosines, most)
        return numbers, cosines

    def _in_block(
        self, block: Block, vectors: VectorFile, queries: Vectors, most: int, alive: Mask | None
    ) -> tuple[Numbers, Vectors]:
        index, wanted = self._faiss_index(block), max(block.search.candidates, 3 * most)
        # so that the lists have at least four times as many on average
        lists = max(block.search.lists, -(-12 * most * _lists_of(index) // vectors.count))
        found = _candidates(index, queries, lists, wanted, alive)
        return _compared(vectors, found, queries, most)

    def _built(self, first: int, end: int, before: Block | None, seed: int) -> Block:
        """The block of these vectors; ``before`` is one of the first of them, whose centres may still do."""
        vectors = self.vectors.part(first, end)
        if before is not None and vectors.count <= MOST_GROWTH * before.trained:
            index = _faiss().read_index(str(self.folder / before.file))
            _add(index, vectors.part(before.end - first, vectors.count))
            trained, search = before.trained, before.search
        else:
            random = np.random.default_rng(seed)
            index = _trained(vectors, random, seed=seed)
            _add(index, vectors)
            trained, search = vectors.count, _measured(index, vectors, random)
        name = f"{first}-{end}-{secrets.token_hex(4)}.faiss"
        with atomic(self.folder / name) as temporary:
            _faiss().write_index(index, str(temporary))
        return Block(name, (self.folder / name).stat().st_size, first, end, trained, search)

    def _write(self, blocks: list[Block]) -> None:
        """What the index is from now on; then nobody needs the other files of its folder."""
        self.blocks = tuple(sorted(blocks, key=lambda block: block.first))
        entry = {"width": self.vectors.width, "blocks": [asdict(block) for block in self.blocks]}
        with atomic(self.folder / _DESCRIBED) as temporary:
            temporary.write_text(json.dumps(entry, indent=1) + "\n", "utf-8")
        named = {_DESCRIBED, *(block.file for block in self.blocks)}
        for path in self.folder.iterdir():
            if path.name not in named:
                path.unlink(missing_ok=True)

    def _is_whole(self, block: Block) -> bool:
        path = self.folder / block.file
        if block.end > self.vectors.count or not path.is_file() or path.stat().st_size != block.size_bytes:
            return False
        try:
            index = self._faiss_index(block)
        except RuntimeError:  # of FAISS: not a file of its own
            return False
        return bool((index.d, index.ntotal) == (self.vectors.width, block.end - block.first))

    def _faiss_index(self, block: Block) -> Any:
        """Its lists stay on the disk, and only those that are gone through are read."""
        if block.file not in self._opened:
            flags = _faiss().IO_FLAG_MMAP | _faiss().IO_FLAG_READ_ONLY
            self._opened[block.file] = _faiss().read_index(str(self.folder / block.file), flags)
        return self._opened[block.file]


def list_count(vectors: int) -> int:
    """Twice the square root, a power of two, but not so many that they could not be trained."""
    wanted = 2 ** round(np.log2(2 * np.sqrt(max(1, vectors))))
    return int(max(1, min(wanted, vectors // ROWS_OF_A_LIST)))


def _add(index: Any, vectors: VectorFile) -> None:
    for _, rows in vectors.blocks():
        index.add(rows)


def _lists_of(index: Any) -> int:
    return int(_faiss().extract_index_ivf(index).nlist)


def remove_index(folder: Path) -> None:
    """Delete an index, if there is one."""
    shutil.rmtree(folder, ignore_errors=True)


def _described(folder: Path) -> Iterator[Block]:
    """The blocks that an index says it has; none where it cannot be read."""
    try:
        entries = json.loads((folder / _DESCRIBED).read_text("utf-8"))["blocks"]
        yield from [Block(**{**entry, "search": Search(**entry["search"])}) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError):
        return


def _candidates(index: Any, queries: Vectors, lists: int, most: int, alive: Mask | None = None) -> Numbers:
    """Numbers, (queries, most), nearest first; -1 where there are no more."""
    faiss = _faiss()
    chosen: dict[str, Any] = {"nprobe": min(lists, _lists_of(index))}
    if alive is not None:
        chosen["sel"] = faiss.IDSelectorBitmap(np.packbits(alive, bitorder="little"))
    params = faiss.SearchParametersIVF(**chosen)
    if isinstance(index, faiss.IndexPreTransform):
        params = faiss.SearchParametersPreTransform(index_params=params)
    found: Numbers = index.search(queries, most, params=params)[1]
    return found


def _compared(vectors: VectorFile, found: Numbers, queries: Vectors, most: int) -> tuple[Numbers, Vectors]:
    """The ``most`` nearest of the candidates of each query, by their vectors."""
    numbers = np.full((len(queries), most), -1, np.int64)
    cosines = np.full((len(queries), most), -np.inf, np.float32)
    for i, (row, query) in enumerate(zip(found, queries, strict=True)):
        there = np.sort(row[row >= 0])
        nearest, values = best(there[None], (vectors.rows(there) @ query)[None], most)
        numbers[i, : nearest.shape[1]], cosines[i, : nearest.shape[1]] = nearest[0], values[0]
    return numbers, cosines


def _measured(index: Any, vectors: VectorFile, random: np.random.Generator) -> Search:
    """The fewest lists, and then candidates, with which recall is reached; else the most of both."""
    chosen = np.sort(random.permutation(vectors.count)[:QUERIES])
    queries = vectors.rows(chosen)
    exact = vectors.nearest(queries, NEIGHBOURS + 1)[0][:, 1:]  # the first is itself
    lists, every = FEWEST_LISTS, _lists_of(index)
    while True:
        lists = min(lists, every)
        found = _candidates(index, queries, lists, max(CANDIDATES))
        for candidates in CANDIDATES:
            search = Search(lists, candidates, _recall(exact, found[:, :candidates]))
            if search.recall >= RECALL:
                return search
        if lists == every:
            return search
        lists *= 2


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


def _faiss() -> Any:
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise _missing() from error
    return faiss


def check_installed() -> None:
    """Raises MissingDependency without FAISS, before vectors are computed for an index."""
    if find_spec("faiss") is None:
        raise _missing()


def _missing() -> MissingDependency:
    needed = to_install("index")
    return MissingDependency(f"an index of vectors needs a package that is not installed: {needed}")
