"""The parts of a store that are current, at one moment."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from extract.errors import StoreError, command, did_you_mean
from extract.types import State
from pipeline.storage.location import Location
from pipeline.store.footer import Footer, InvalidPart, PartHeader
from pipeline.store.layout import PartFile, Store, Target
from pipeline.store.reading import current_parts, valid_parts
from pipeline.store.validity import checked_footer
from pipeline.store.videos import members_of
from train.errors import DataError


@dataclass(frozen=True)
class StoredPart:
    """What is kept of a part's footer: the videos that have rows, in their order, and how many."""

    path: Location
    shard: int
    header: PartHeader
    names: tuple[str, ...]
    rows: NDArray[np.int64]
    states: Counter[State]


def tables_of(
    store: Store, experts: Iterable[str], targets: Iterable[Target] | None = None
) -> dict[str, list[str]]:
    """By expert, the tables of a store that the name stands for: itself, or the expert's; empty: none."""
    made = {target.expert: target.tables for target in (store.targets() if targets is None else targets)}
    there = set(store.tables()) - {"videos"}
    return {
        expert: [name for name in ((expert,) if expert in there else made.get(expert, ())) if name in there]
        for expert in experts
    }


def _names(store: Store, targets: Iterable[Target], experts: Sequence[str] | None) -> list[str]:
    if experts is None:
        named = {table for target in targets for table in target.tables}
        return sorted(named | set(store.tables()) - {"videos"})
    names: list[str] = []
    for expert, mine in tables_of(store, experts, targets).items():
        if not mine:
            there = sorted(set(store.tables()) - {"videos"})
            raise DataError(
                f"{str(store.root)!r} has no rows of expert {expert!r}, only of "
                f"{', '.join(there) or 'none'}: name one of these, or extract it{did_you_mean(expert, there)}"
            )
        names += [name for name in mine if name not in names]
    if not names:
        raise DataError("no experts were named: name at least one, or none at all for every one of the store")
    return names


@dataclass(frozen=True)
class Listing:
    """The parts of a store at one moment, by table: ``found`` of those that were asked for (None: of all),
    ``timed`` of timelines. ``members`` are the videos of every planned shard.
    """

    store: Store
    targets: Sequence[Target]
    members: Mapping[int, frozenset[str]] | None
    found: Mapping[str, list[StoredPart]]
    timed: Mapping[str, list[StoredPart]]

    @classmethod
    def of(cls, store: Store, experts: Sequence[str] | None, timelines: Sequence[str]) -> Listing:
        """Raises DataError for parts that are damaged or another's.

        A run may write beside: what it has replaced, or planned, since the listing is listed once more.
        """
        try:
            return cls._once(store, experts, timelines)
        except InvalidPart:
            pass
        try:
            return cls._once(store, experts, timelines)
        except InvalidPart as error:
            raise DataError(f"{error}; to see what to do: `{command('verify', store.root)}`") from error

    @classmethod
    def _once(cls, store: Store, experts: Sequence[str] | None, timelines: Sequence[str]) -> Listing:
        members, targets = members_of(store), store.targets()
        found = {name: _parts(store, name, targets, members) for name in _names(store, targets, experts)}
        there = [name for name in timelines if name in store.tables() and name not in found]
        timed = {name: _parts(store, name, targets, members) for name in there}
        timed |= {name: found[name] for name in timelines if name in found}
        return cls(store, targets, members, found, timed)

    def missing(self, table: str) -> tuple[Location, ...]:
        """Paths of the table's parts, in its current fingerprint, that planned shards lack."""
        parts = self.found.get(table) or self.timed.get(table, [])
        targets = [part.header.target for part in parts] or [t for t in self.targets if table in t.tables]
        shards = sorted(set(self.members or ()) - {part.shard for part in parts}) if targets else []
        return tuple(
            self.store.part_path(table, shard=shard, fingerprint=targets[0].fingerprint) for shard in shards
        )


def _parts(
    store: Store, name: str, targets: Sequence[Target], members: Mapping[int, frozenset[str]] | None
) -> list[StoredPart]:
    """The parts that are current, by shard. Raises InvalidPart for one that does not count."""
    current = {target.fingerprint for target in targets if name in target.tables}
    there = {part.fingerprint for part in store.parts(name)}
    if not current and len(there) > 1:
        raise DataError(
            f"{str(store.root)!r}: {name!r} has mixed fingerprints ({', '.join(sorted(there))}), run.json "
            "names none of them; extract again with the options that you want"
        )
    if not there:
        return []
    try:
        parts = current_parts(store, name)
    except StoreError as error:
        raise DataError(
            f"{error}; run `{command('extract', '--out', store.root)}`, which computes the current rows"
        ) from error
    return [_part(*found) for found in valid_parts(store, parts, members, checked_footer)]


def _part(file: PartFile, footer: Footer) -> StoredPart:
    rows = {sys.intern(name): video.rows for name, video in footer.videos.items() if video.rows}
    counts = np.fromiter(rows.values(), np.int64, len(rows))
    states = Counter(video.state for video in footer.videos.values())
    return StoredPart(file.path, file.shard, footer.header, tuple(rows), counts, states)
