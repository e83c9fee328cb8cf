"""What a store has for the trainer: the videos, and where each one's vectors lie."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.errors import count, some
from extract.types import State
from pipeline.storage.location import Location, location
from pipeline.store.footer import PartHeader
from pipeline.store.layout import Store, Target, open_store, run_again
from pipeline.store.videos import read_shards
from train.errors import DataError
from train.loading.listing import Listing, StoredPart
from train.loading.steps import EMBEDDING

NUMBERS = ("bool", "int32", "int64", "float32", "float64")  # types of columns that can be part of a vector


@dataclass(frozen=True)
class FeatureTable:
    """One table of vectors, of the fingerprint that is current.

    ``part``, ``first`` and ``steps`` say of every video of :attr:`FeatureSet.ids` in which part its rows are
    (-1: in none), which one is the first, and how many there are. ``nan``: a value may be NaN, unmeasured.
    ``columns``: those that make up a vector.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    nan: bool
    fingerprint: str
    random_seed: int | None
    paths: tuple[Location, ...]
    rows_of_parts: NDArray[np.int64]
    part: NDArray[np.int64]
    first: NDArray[np.int64]
    steps: NDArray[np.int64]
    states: Mapping[State, int] = field(default_factory=dict)
    columns: tuple[str, ...] = (EMBEDDING,)

    @property
    def dim(self) -> int:
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class FeatureSet:
    """The tables that a model reads, and the videos that have something in at least one of them.

    ``ids`` are sorted, ``shards`` is each one's shard. ``timelines`` are tables of which a model reads the
    times alone. ``missing``: parts that the plan names and the store does not have. Rows are read when they
    are needed.
    """

    store: Store
    tables: Mapping[str, FeatureTable]
    ids: tuple[str, ...]
    shards: NDArray[np.int64]
    timelines: Mapping[str, FeatureTable] = field(default_factory=dict)
    missing: Mapping[str, tuple[Location, ...]] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        store: Store | Location | str | os.PathLike[str],
        experts: Sequence[str] | None = None,
        *,
        timelines: Sequence[str] = (),
        columns: Mapping[str, tuple[str, ...]] | None = None,
        allow_random_weights: bool = False,
    ) -> FeatureSet:
        """Read the footers of these experts' parts (None: of all that have vectors); no rows.

        Names are those of tables or of experts: ``i3d`` stands for its two tables. Of ``timelines`` those
        are read that the store has and that are not read for their vectors. ``columns``: table -> what makes
        up its vectors, where that is not its embedding alone. Raises DataError for experts and columns that
        are not there, without vectors, of several fingerprints of which none is current, or extracted with
        random weights, and for parts that are damaged or another's; StoreError for what is not a store.
        """
        opened = store if isinstance(store, Store) else open_store(location(store))
        listing, columns = Listing.of(opened, experts, timelines), columns or {}
        targets, found = listing.targets, listing.found
        with_vectors = {
            name: parts
            for name, parts in found.items()
            if experts is not None or name in columns or _has_vectors(parts)
        }
        if not with_vectors:
            raise DataError(
                f"{str(opened.root)!r} has no vectors: extract with an expert that produces vectors"
            )
        where = {name: part.shard for parts in with_vectors.values() for part in parts for name in part.names}
        ids = tuple(sorted(where))
        position = {name: i for i, name in enumerate(ids)}
        seeds = _random_seeds(targets)
        tables = {
            name: _table(name, parts, position, seeds, columns.get(name, (EMBEDDING,)))
            for name, parts in with_vectors.items()
        }
        timed = {name: parts for name, parts in listing.timed.items() if parts and name not in tables}
        times = {name: _timeline(name, parts, position, seeds) for name, parts in timed.items()}
        drawn = [name for name, table in (tables | times).items() if table.random_seed is not None]
        if drawn and not allow_random_weights:
            raise DataError(
                f"{str(opened.root)!r}: {', '.join(drawn)} extracted with random weights; extract again with "
                "published ones, or pass --allow-random-weights for a dry run"
            )
        lost = [name for name in found if not found[name]]
        missing = {name: listing.missing(name) for name in (*tables, *times, *lost)}
        return cls(opened, tables, ids, np.array([where[name] for name in ids], np.int64), times, missing)

    @property
    def read(self) -> dict[str, FeatureTable]:
        """All tables of which rows are read: of some vectors and times, of others times alone."""
        return {**self.tables, **self.timelines}

    @property
    def dims(self) -> dict[str, int]:
        """Length of each expert's vectors."""
        return {name: table.dim for name, table in self.tables.items()}

    @property
    def fingerprints(self) -> dict[str, str]:
        return {name: table.fingerprint for name, table in self.read.items()}

    @property
    def random_weights(self) -> tuple[str, ...]:
        """Experts whose networks had random weights."""
        return tuple(name for name, table in self.read.items() if table.random_seed is not None)

    def require(self, fingerprints: Mapping[str, str]) -> None:
        """Raises DataError unless the features are those that a model was trained on."""
        found = self.fingerprints
        for name, wanted in fingerprints.items():
            if name not in found:
                raise DataError(
                    f"the model was trained on {name!r}, which {str(self.store.root)!r} does not have: "
                    "extract it"
                )
            if found[name] != wanted:
                raise DataError(
                    f"{str(self.store.root)!r}: {name!r} has fingerprint {found[name]}, "
                    f"the model was trained on {wanted}; extract with the options of that store"
                )

    def select(self, experts: Sequence[str]) -> FeatureSet:
        """The same videos with some of the tables; a video may then have nothing in any of them."""
        return replace(self, tables={name: self.tables[name] for name in experts})

    def report(self) -> list[str]:
        """One line for each expert that does not have every planned video: absent, failed, still to do.

        One more for each that lacks parts, with the command that extracts them.
        """
        planned = {video.video_id for shard in read_shards(self.store) for video in shard.videos}
        lines = []
        for name, table in self.tables.items():
            counts = {"nothing there": table.states.get("absent", 0), "failed": table.states.get("failed", 0)}
            counts["still to do"] = max(0, len(planned) - sum(table.states.values()))
            said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
            if said:
                lines.append(
                    f"{name}: {table.states.get('ok', 0)} of {count(len(planned), 'video')} ({said})"
                )
        for name, paths in self.missing.items():
            if paths:
                lines.append(
                    f"{name}: {count(len(paths), 'part is', 'parts are')} missing "
                    f"({some([*map(str, paths)])}); `{run_again(self.store)}` extracts them"
                )
        return lines


def _has_vectors(parts: Sequence[StoredPart]) -> bool:
    return any(part.header.spec.embedding is not None for part in parts)


def _table(
    name: str,
    parts: Sequence[StoredPart],
    position: Mapping[str, int],
    seeds: Mapping[str, int | None],
    columns: tuple[str, ...],
) -> FeatureTable:
    if EMBEDDING in columns and not _has_vectors(parts):
        raise DataError(f"{name!r} has no vectors to train on: name a table that has an embedding column")
    if not parts:
        raise DataError(f"{name!r} has no rows to train on: extract it")
    header = parts[0].header
    return FeatureTable(
        name=name,
        **_vector(header, columns),
        random_seed=_seed(header.target, seeds),
        **_rows(parts, position),
        columns=columns,
    )


def _vector(header: PartHeader, columns: tuple[str, ...]) -> dict[str, Any]:
    """Shape and type of what a row's vector is made of. A number of a column may be missing: NaN."""
    spec = header.spec.embedding
    if columns == (EMBEDDING,):
        assert spec is not None
        return {
            "shape": spec.shape,
            "dtype": np.dtype("float32" if spec.float32 else header.dtype),
            "nan": spec.nan,
        }
    there = [column.name for column in header.spec.columns if column.type in NUMBERS]
    unknown = [name for name in columns if name not in (*there, EMBEDDING)]
    if unknown:
        raise DataError(
            f"{header.table!r} has no numeric column {unknown[0]!r}; it has {', '.join(there) or 'none'}"
        )
    width = sum(int(np.prod(spec.shape)) if spec and name == EMBEDDING else 1 for name in columns)
    return {"shape": (width,), "dtype": np.dtype(np.float32), "nan": True}


def _timeline(
    name: str, parts: Sequence[StoredPart], position: Mapping[str, int], seeds: Mapping[str, int | None]
) -> FeatureTable:
    """The times of a table's rows: vectors of no values."""
    seed = _seed(parts[0].header.target, seeds)
    return FeatureTable(name, (0,), np.dtype("float32"), False, random_seed=seed, **_rows(parts, position))


def _rows(parts: Sequence[StoredPart], position: Mapping[str, int]) -> dict[str, Any]:
    """Where the rows of each video lie; those of videos without a ``position`` are left out."""
    size = len(position)
    where = np.full(size, -1, np.int64)
    first, steps = np.zeros(size, np.int64), np.zeros(size, np.int64)
    states: Counter[State] = Counter()
    for number, part in enumerate(parts):
        places = np.fromiter((position.get(video, -1) for video in part.names), np.int64, len(part.names))
        known = places >= 0
        where[places[known]], steps[places[known]] = number, part.rows[known]
        first[places[known]] = (np.cumsum(part.rows) - part.rows)[known]
        states += part.states
    return {
        "fingerprint": parts[0].header.target.fingerprint,
        "paths": tuple(part.path for part in parts),
        "rows_of_parts": np.array([part.rows.sum() for part in parts], np.int64),
        "part": where,
        "first": first,
        "steps": steps,
        "states": states,
    }


def _random_seeds(targets: Iterable[Target]) -> dict[str, int | None]:
    return {target.expert: target.made_of.get("random_seed") for target in targets}


def _seed(target: Target, seeds: Mapping[str, int | None]) -> int | None:
    """The seed that the network's weights, or those of a network that it reads from, were drawn from."""
    drawn = [target.made_of.get("random_seed"), *(seeds.get(name) for name in target.upstream)]
    return next((seed for seed in drawn if seed is not None), None)
