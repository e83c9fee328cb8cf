"""The picture of a moment: the store's thumbnail of the same shot that is nearest to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress

import pyarrow as pa

from extract.errors import StoreError
from pipeline.search.hits import Hit
from pipeline.search.shots import Shots
from pipeline.store.layout import Store
from pipeline.store.reading import dataset

_ROWS = 256  # pictures in memory at a time: some 3 MB


def stills_of(store: Store, hits: Sequence[Hit], shots: Mapping[str, Shots]) -> list[bytes | None]:
    """A JPEG for each hit; None where the store has no thumbnail of its video. ``shots``: of these videos.

    A damaged one is given as it is. The thumbnails of these videos are read once, some at a time.
    """
    from pyarrow.dataset import field

    wanted: dict[str, list[int]] = defaultdict(list)
    for number, hit in enumerate(hits):
        wanted[hit.video_id].append(number)
    found: list[bytes | None] = [None] * len(hits)
    away = [(True, float("inf"))] * len(hits)
    scenes = [_scene(shots.get(hit.video_id, Shots()), hit) for hit in hits]
    try:
        thumbnails = dataset(store, "thumbnails")
    except StoreError:
        return found  # a store without pictures can be searched as well
    columns = ["video_id", "scene", "start_seconds", "jpeg"]
    chosen = field("video_id").isin(sorted(wanted))
    # What a damaged part has is missing on the page, and costs nothing else.
    with suppress(OSError, pa.ArrowException):
        for batch in thumbnails.to_batches(columns=columns, filter=chosen, batch_size=_ROWS):
            places = zip(*(batch[name].to_pylist() for name in columns[:3]), strict=True)
            for row, (video_id, scene, start) in enumerate(places):
                for number in wanted[video_id]:
                    distance = (scene != scenes[number], abs(start - hits[number].start_seconds))
                    if distance < away[number]:
                        away[number], found[number] = distance, batch["jpeg"][row].as_py()
    return found


def _scene(shots: Shots, hit: Hit) -> int | None:
    place = shots.at(hit.start_seconds)
    return None if place is None else shots.numbers[place]
