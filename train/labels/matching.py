"""Which label belongs to which video of the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from extract.errors import some
from train.errors import DataError
from train.labels.table import LabelTable


def match(labels: LabelTable, video_ids: Sequence[str]) -> LabelTable:
    """The labels of videos that have features, under their ``video_id``; ``notes`` counts all others.

    A label's id is a ``video_id``, or else the last component of one (the file's name without suffix and
    folders) if only one video has it. Raises DataError where none is.
    """
    found = video_ids_of(labels.ids, video_ids)
    if not found:
        raise DataError(_no_match(labels, video_ids))
    kept = np.array([name in found for name in labels.ids])
    without_features = [name for name in labels.ids if name not in found]
    without_labels = sorted(set(video_ids) - set(found.values()))
    notes = [
        f"{len(names)} {what}: left out ({some(names)})"
        for names, what in (
            (without_features, "labels are of no video with features"),
            (without_labels, "videos with features have no label"),
        )
        if names
    ]
    chosen = labels.select(kept, *notes)
    return replace(chosen, ids=tuple(found[name] for name in chosen.ids))


def video_ids_of(ids: Sequence[str], video_ids: Sequence[str]) -> dict[str, str]:
    """Label id -> video_id, by the rule above."""
    known = set(video_ids)
    found = {name: name for name in ids if name in known}
    taken = set(found)
    last = {name: name.rpartition("/")[2] for name in video_ids}
    counts = Counter(last.values())
    by_last = {short: name for name, short in last.items() if counts[short] == 1 and name not in taken}
    return found | {name: by_last[name] for name in ids if name not in found and name in by_last}


def _no_match(labels: LabelTable, video_ids: Sequence[str]) -> str:
    what = f"none of the {len(labels.ids)} labels (as {labels.ids[0]!r}) is a video with features"
    what += f" (as {video_ids[0]!r})" if video_ids else ", of which there are none"
    column, count = _best_column(labels.columns, video_ids)
    if count:
        return f"{what}; column {column!r} holds {count} of them: name it as the id column"
    return f"{what}: give labels whose id is the video_id, or the file's name without suffix"


def _best_column(columns: Mapping[str, Sequence[str]], video_ids: Sequence[str]) -> tuple[str, int]:
    counts = {name: len(video_ids_of(values, video_ids)) for name, values in columns.items()}
    return max(counts.items(), key=lambda entry: entry[1], default=("", 0))
