"""The shots of videos, to tell in which of them a moment lies."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from extract.errors import StoreError
from extract.tables import timed_rows
from pipeline.store.layout import Store
from pipeline.store.reading import read


@dataclass(frozen=True)
class Shots:
    """Starts and ends of one video's shots, ascending; ``numbers`` as other tables name them."""

    starts: tuple[float, ...] = ()
    ends: tuple[float, ...] = ()
    numbers: tuple[int, ...] = ()

    def at(self, seconds: float, *, before: bool = False) -> int | None:
        """The place of the shot at a moment, or just ``before`` it; the nearest one outside all shots."""
        place = (bisect.bisect_left if before else bisect.bisect_right)(self.starts, seconds) - 1
        return max(0, place) if self.starts else None


def shots_of(store: Store, video_ids: Collection[str]) -> dict[str, Shots]:
    """Of each video that has shots."""
    if not video_ids:
        return {}
    names = ["start_seconds", "end_seconds", "scene"]
    try:
        rows = timed_rows(read(store, "scenes", columns=["video_id", *names], video_ids=video_ids))
    except StoreError:
        return {}  # a store may have none
    found: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for video_id, *shot in zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True):
        found[video_id].append(tuple(shot))
    return {video_id: Shots(*zip(*sorted(own), strict=True)) for video_id, own in found.items()}
