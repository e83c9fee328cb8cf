"""The nearest videos of a store in the space of a run, or of two runs side by side."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from extract.errors import UsageError, count, did_you_mean
from extract.options import convert
from pipeline.storage.atomic import atomic
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.location import Location
from pipeline.storage.names import check_suffix
from pipeline.store.layout import Store
from pipeline.vectors.vector_file import VectorFile
from pipeline.vectors.vector_index import VectorIndex, check_installed, remove_index
from train.errors import DataError
from train.labels.matching import video_ids_of
from train.log import Log, log_of
from train.runs.run_folder import RunFolder
from train.runs.run_store import batches_of
from train.runs.scores import each_output
from train.settings import Hardware, hardware_of

_INDEX = "index"  # its folder beside the vectors

T = TypeVar("T")


@dataclass(frozen=True)
class Neighbour:
    video_id: str
    cosine: float


@dataclass(frozen=True)
class Retrieved:
    """``neighbours``: run -> query -> the nearest videos, the nearest first, without the query itself."""

    queries: tuple[str, ...]
    neighbours: Mapping[str, Mapping[str, tuple[Neighbour, ...]]]

    def write(self, path: Path) -> None:
        """As CSV, a row for each run, query and neighbour. Raises UsageError for another suffix."""
        check_suffix(path, ".csv")
        with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            rows = (
                (run, query, rank, one.video_id, one.cosine)
                for run, found in self.neighbours.items()
                for query, nearest in found.items()
                for rank, one in enumerate(nearest, 1)
            )
            write_csv(file, ("run", "query", "rank", "video_id", "cosine"), rows, digits=6)


@dataclass(frozen=True)
class StoreVectors:
    """The videos of a store in the space of a run: their ids, sorted, and their vectors."""

    ids: tuple[str, ...]
    vectors: VectorFile

    def nearest(
        self, queries: Sequence[str], most: int, *, by: Callable[[NDArray[Any], int], Any]
    ) -> dict[str, tuple[Neighbour, ...]]:
        """``by``: the search of a VectorFile or of a VectorIndex."""
        rows = np.array([bisect_left(self.ids, name) for name in queries])
        numbers, cosines = by(self.vectors.rows(rows), most + 1)
        found = {}
        for query, row, values in zip(queries, numbers.tolist(), cosines.tolist(), strict=True):
            others = [
                Neighbour(self.ids[number], cosine)
                for number, cosine in zip(row, values, strict=True)
                if number >= 0 and self.ids[number] != query
            ]
            found[query] = tuple(others[:most])
        return found


def retrieve(
    runs: Sequence[RunFolder | str | os.PathLike[str]],
    store: Store | Location | str | os.PathLike[str],
    queries: Sequence[str],
    *,
    neighbours: int = 5,
    index: Path | None = None,
    exact: bool = False,
    hardware: Hardware | None = None,
    allow_random_weights: bool = False,
    log: Log | None = None,
) -> Retrieved:
    """The nearest videos of each query, an id of the store or the last part of one, in each run's space.

    With ``index``, a folder, the vectors of all videos are kept in it, and searched by an index, unless
    ``exact``; what is there and still right is used. Without, all is computed and searched exactly.

    Raises UsageError for queries that the store does not have, DataError for a store or a folder of other
    runs or features, MissingDependency without FAISS.
    """
    folders = [RunFolder.of(run) for run in _several(runs, "runs")]
    queries, log = _several(queries, "queries"), log_of(log)
    neighbours = convert("--neighbours", int, neighbours, texts=False)
    if neighbours < 1:
        raise UsageError(f"--neighbours is {neighbours}; at least 1 is needed")
    if index is not None and not exact:
        check_installed()
    found: dict[str, Mapping[str, tuple[Neighbour, ...]]] = {}
    asked: tuple[str, ...] = ()
    for run in folders:
        with tempfile.TemporaryDirectory(prefix="marquee-retrieve-") as temporary:
            folder = Path(temporary) if index is None else index / _name(run, folders)
            space = open_space(
                folder,
                run,
                store,
                queries=queries,
                hardware=hardware,
                allow_random_weights=allow_random_weights,
                log=log,
            )
            asked = _known(queries, space.ids)
            by: Callable[[NDArray[Any], int], Any] = space.vectors.nearest
            if index is not None and not exact:
                opened = VectorIndex.open(space.vectors, folder / _INDEX)
                by = opened.nearest
                log(f"{folder}: recall@10 {opened.recall:.4f} when it was built")
            found[str(run.root)] = space.nearest(asked, neighbours, by=by)
    return Retrieved(asked, found)


def open_space(
    folder: Path,
    run: RunFolder,
    store: Store | Location | str | os.PathLike[str],
    *,
    queries: Sequence[str] = (),
    hardware: Hardware | None = None,
    allow_random_weights: bool = False,
    log: Log | None = None,
) -> StoreVectors:
    """The vectors that are in a folder, or else computed and written there, batch by batch.

    Raises UsageError before that for ``queries`` that the store does not have.
    """
    hardware = hardware_of(hardware)
    model = run.load_model()
    batches = batches_of(run, model, store, allow_random_weights=allow_random_weights)
    _known(queries, batches.ids)
    made_of = {
        "model": _digest(run.model_path.read_bytes()),
        "normalisation": _digest(run.normalisation_path.read_bytes()),
        "features": batches.loader.samples.features.fingerprints,
        "ids": _digest("\0".join(batches.ids).encode()),
    }
    described, path = folder / "space.json", folder / "vectors.f16"
    if described.exists():
        there = json.loads(described.read_text("utf-8"))
        if there["made_of"] != made_of:
            raise DataError(
                f"{str(folder)!r} holds the vectors of another run or of other videos: delete it, or give "
                "another --index"
            )
        return StoreVectors(batches.ids, VectorFile(path, len(batches.ids), there["width"]))
    folder.mkdir(parents=True, exist_ok=True)
    log_of(log)(f"{str(run.root)!r}: {count(len(batches.ids), 'video')}")

    def blocks() -> Iterator[NDArray[np.float32]]:
        chosen = {"device": hardware.torch_device, "precision": hardware.precision}
        for _, values in each_output(model, batches, model.embed, **chosen):
            yield values

    remove_index(folder / _INDEX)
    vectors = VectorFile.write(path, blocks())
    with atomic(described) as temporary:  # the last one: where it is, the vectors are
        temporary.write_text(json.dumps({"width": vectors.width, "made_of": made_of}) + "\n", "utf-8")
    return StoreVectors(batches.ids, vectors)


def _several(values: Sequence[T], name: str) -> Sequence[T]:
    """Raises UsageError for a text alone, whose characters would be taken for values, and for none."""
    if isinstance(values, str | os.PathLike) or not isinstance(values, Sequence) or not values:
        raise UsageError(f"{name} is {values!r}; a list of at least one is needed")
    return values


def _name(run: RunFolder, runs: Sequence[RunFolder]) -> str:
    """Of a run's folder in the index: its own, unless two have the same."""
    name = run.root.resolve().name
    same = [other for other in runs if other.root.resolve().name == name]
    return name if len(same) == 1 else f"{name}-{_digest(str(run.root.resolve()).encode())[:8]}"


def _known(queries: Sequence[str], ids: Sequence[str]) -> tuple[str, ...]:

    found = video_ids_of(queries, ids)
    for query in queries:
        if query not in found:
            near = did_you_mean(query, ids[:10_000])
            raise UsageError(f"the store has no video {query!r} with features{near}")
    return tuple(dict.fromkeys(found[query] for query in queries))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
