"""Scores of genres that nothing was trained for: a store's tags of the same names (``marquee tag``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.store.layout import Store
from pipeline.store.reading import footer_of, read
from train.evaluation.metrics import Floats

TABLE = "tags"
SCALE = 100.0  # of cosines: what CLIP's temperature became in training (Radford et al. 2021, section 2.5)


def zero_shot_scores(store: Store, ids: Sequence[str], genres: Sequence[str]) -> Floats | None:
    """(videos, genres): the softmax over the genres of the mean cosines of a video's shots, times 100.

    So CLIP classifies without training (Radford et al. 2021, section 3.1.2). None where the store lacks a tag
    for any genre, whatever its case, or has tags of random weights; a video without tags has equal scores.
    """
    columns = _columns(store, genres)
    if columns is None:
        return None
    found = read(store, TABLE, columns=["video_id", *columns], video_ids=list(ids))
    means = found.group_by("video_id").aggregate([(name, "mean") for name in columns])
    cosines = np.column_stack([means[f"{name}_mean"].to_numpy() for name in columns])
    place = {name: row for row, name in enumerate(means["video_id"].to_pylist())}
    scores = np.full((len(ids), len(genres)), 1 / len(genres))
    rows = [i for i, name in enumerate(ids) if name in place]
    logits = SCALE * cosines[[place[ids[i]] for i in rows]]
    shares = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    scores[rows] = shares / shares.sum(axis=1, keepdims=True)
    return scores


def _columns(store: Store, genres: Sequence[str]) -> list[str] | None:
    """The column of each genre's tag."""
    target = next((target for target in store.targets() if TABLE in target.tables), None)
    if target is None or target.made_of.get("random_seed") is not None:
        return None
    footer = footer_of(store, TABLE)
    named = {} if footer is None else {c.name.casefold(): c.name for c in footer.header.spec.columns}
    wanted = [" ".join(genre.split()).casefold() for genre in genres]
    return [named[name] for name in wanted] if named.keys() >= set(wanted) else None
