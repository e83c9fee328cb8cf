"""How far a store is: counts from footers, nothing else read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from extract.errors import count
from pipeline.storage.location import ahead, sizes
from pipeline.store.coverage import shard_outcomes
from pipeline.store.layout import Store, Target
from pipeline.store.lock import holder_of
from pipeline.store.videos import Shard, plan_problems, read_shards


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
    """``root``: the folder of the videos, where it is known; ``random``: experts with random weights.

    ``writer``: the run that is writing now, whose unwritten rows count as missing.
    """

    videos: int
    shards: int
    experts: tuple[ExpertStatus, ...]
    root: str | None = None
    problems: tuple[str, ...] = ()
    random: tuple[str, ...] = ()
    writer: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every expert has a recorded state for every video."""
        return not self.problems and all(expert.missing == 0 for expert in self.experts)


def status(store: Store) -> Status:
    """Counts for every expert that ``run.json`` names."""
    shards = read_shards(store)
    targets = store.targets()
    experts = tuple(_expert(store, shards, target) for target in targets)
    random = tuple(t.expert for t in targets if t.made_of.get("random_seed") is not None)
    problems = [*plan_problems(shards), *_without_plan(store, shards)]
    videos = sum(len(shard.videos) for shard in shards)
    return Status(videos, len(shards), experts, store.videos_root, tuple(problems), random, holder_of(store))


def _without_plan(store: Store, shards: Sequence[Shard]) -> Iterator[str]:
    """Parts of shards that are not planned."""
    planned = {shard.index for shard in shards}
    for table in store.tables():
        found = [part for part in store.parts(table) if part.shard not in planned]
        if found:
            files = count(len(found), "file")
            yield f"{table}: {files} of shards that are not planned ({found[0].path.name})"


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
