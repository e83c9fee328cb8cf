"""What a shard already holds of the experts that the missing ones read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from extract.engine.task import VideoTask
from pipeline.storage.parquet import open_parquet
from pipeline.store.layout import Store, Target
from pipeline.store.todo import states
from pipeline.store.videos import Shard


class Stored:
    """The upstream tables of a shard that are valid, read once; tasks are made with their part of them.

    ``work`` maps each video to the experts that it needs (:func:`pipeline.store.todo.todo`).
    """

    def __init__(
        self, store: Store, shard: Shard, targets: Sequence[Target], work: Mapping[str, set[str]]
    ) -> None:
        self._targets = {target.expert: target for target in targets}
        parents = {
            parent
            for experts in work.values()
            for name in experts
            for parent in self._targets[name].upstream
            if parent not in experts
        }
        self._states = {name: states(store, shard, self._targets[name]) for name in parents}
        self._tables: dict[str, dict[str, pa.Table]] = defaultdict(dict)
        for name in parents:
            target = self._targets[name]
            for table in target.tables if self._states[name] else ():
                path = store.part_path(table, shard=shard.index, fingerprint=target.fingerprint)
                with open_parquet(path, whole=True) as file:
                    self._tables[name][table] = file.read()

    def task(self, video_id: str, path: bytes, experts: tuple[str, ...]) -> VideoTask:
        """The task of running these experts on one video of the shard."""
        parents = {p for name in experts for p in self._targets[name].upstream} - set(experts)
        failed = {}
        for name in parents:
            for state in self._states[name].get(video_id, ()):
                if state.failure is not None:
                    failed[name] = state.failure
        return VideoTask(
            video_id=video_id,
            path=path,
            experts=experts,
            tables={name: self._rows(name, video_id) for name in parents},
            failed_upstream=failed,
        )

    def _rows(self, expert: str, video_id: str) -> dict[str, pa.Table]:
        return {
            name: table.filter(pc.equal(table["video_id"], video_id))
            for name, table in self._tables[expert].items()
        }
