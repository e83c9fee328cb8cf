"""How far a figure may move with the choice of test videos: bootstrap resamples and intervals."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from train.errors import DataError
from train.evaluation.metrics import Floats, Measures

CELLS_AT_ONCE = 1 << 22  # bounds memory: about 32 MB for each array of this many cells


def resample_weights(
    videos: int,
    *,
    resamples: int,
    seed: int,
    groups: Sequence[Hashable] | None = None,
    at_once: int | None = None,
) -> Iterator[Floats]:
    """How often each video is drawn in each resample, in blocks of (videos, at most ``at_once``).

    As many groups are drawn as there are, with replacement, and each brings all its videos. Without groups
    each video is its own, and so is one whose group is None. The draws depend on the seed and on the number
    of groups alone.
    """
    if groups is not None and len(groups) != videos:
        raise DataError(f"{len(groups)} groups for {videos} videos; name the group of every video")
    units = [place if group is None else (group,) for place, group in enumerate(groups or [None] * videos)]
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
    codes = np.array([numbers[unit] for unit in units])
    rng = np.random.default_rng(seed)
    block = at_once or resamples
    for start in range(0, max(resamples, 1), max(block, 1)):
        size = min(block, resamples - start)
        drawn = rng.integers(len(numbers), size=(size, len(numbers)))
        cells = drawn * size + np.arange(size)[:, None]
        counts = np.bincount(cells.ravel(), minlength=len(numbers) * size).reshape(len(numbers), size)
        yield counts[codes].astype(np.float64)


def replicates(
    measures: Measures, *, resamples: int, seed: int, groups: Sequence[Hashable] | None = None
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Every figure of every resample: of all genres (resamples,), and of each (genres, resamples)."""
    videos, genres = measures.target.shape
    blocks = [
        measures.figures(weights)
        for weights in resample_weights(
            videos,
            resamples=resamples,
            seed=seed,
            groups=groups,
            at_once=max(1, CELLS_AT_ONCE // (videos * genres)),
        )
    ]
    overall = {name: np.concatenate([of_all[name] for of_all, _ in blocks]) for name in blocks[0][0]}
    by_genre = {name: np.concatenate([each[name] for _, each in blocks], axis=1) for name in blocks[0][1]}
    return overall, by_genre


def interval(
    value: ArrayLike, drawn: Floats, *, confidence: float, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[Floats, Floats]:
    """The basic bootstrap interval of a figure, kept within ``bounds``; NaN without a resample.

    ``drawn``: (..., resamples). With q the quantiles of the resamples it is 2 value - q_high to
    2 value - q_low: what resampling does to the figure, the drawing of these videos has done to it already.
    The quantiles are not an interval of average precision, see ``docs/metrics.md``. Resamples in which
    a figure has no value are left out.
    """
    tail = (1 - confidence) / 2
    quantiles = np.full((2, *drawn.shape[:-1]), np.nan)
    known = ~np.isnan(drawn).all(axis=-1)
    if known.any():
        quantiles[:, known] = np.nanquantile(drawn[known], [1 - tail, tail], axis=-1)
    low, high = np.clip(2 * np.asarray(value, dtype=np.float64) - quantiles, *bounds)
    return low, high
