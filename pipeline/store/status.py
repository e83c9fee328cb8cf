"""How far a store is: counts from footers, nothing else read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.storage.location import ahead, sizes
from pipeline.store.coverage import shard_outcomes
from pipeline.store.layout import Store, Target
from pipeline.store.videos import Shard, read_shards


@dataclass(frozen=True)
class ExpertStatus:
    """Videos by state (``missing``: still to do), rows and file bytes of the current fingerprint.

    ``old_bytes`` is what files of other fingerprints take: nothing current reads them.
    """

    expert: str
    fingerprint: str
    ok: int
    absent: int
    failed: int
    missing: int
    rows: int
    bytes: int
    old_bytes: int


@dataclass(frozen=True)
class Status:
    """``root``: the folder that the videos' paths are relative to, where the store knows it."""

    videos: int
    shards: int
    experts: tuple[ExpertStatus, ...]
    root: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every expert has a recorded state for every video."""
        return all(expert.missing == 0 for expert in self.experts)


def status(store: Store) -> Status:
    """Counts for every expert that ``run.json`` names."""
    shards = read_shards(store)
    experts = tuple(_expert(store, shards, target) for target in store.targets())
    return Status(sum(len(shard.videos) for shard in shards), len(shards), experts, store.videos_root)


def _expert(store: Store, shards: Sequence[Shard], target: Target) -> ExpertStatus:
    counts: Counter[str] = Counter()
    rows = 0
    for records in ahead(lambda shard: list(shard_outcomes(store, shard, [target])), shards, store.root):
        for record in records:
            counts[record.state] += 1
            rows += record.rows
    taken: Counter[bool] = Counter()
    for table in target.tables:
        file_bytes = sizes(store.root / table)
        for part in store.parts(table):
            taken[part.fingerprint == target.fingerprint] += file_bytes.get(part.path.name, 0)
    return ExpertStatus(
        expert=target.expert,
        fingerprint=target.fingerprint,
        ok=counts["ok"],
        absent=counts["absent"],
        failed=counts["failed"],
        missing=sum(len(shard.videos) for shard in shards) - counts.total(),
        rows=rows,
        bytes=taken[True],
        old_bytes=taken[False],
    )
