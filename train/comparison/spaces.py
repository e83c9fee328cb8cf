"""Figures of a space of videos: how tight its genres are, and what is near to what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.vectors.vector_file import best, unit
from train.comparison.results import NO_VALUE, EmbeddedVideos
from train.evaluation.bootstrap import resample_weights
from train.evaluation.figures import Scoring
from train.evaluation.metrics import Floats
from train.evaluation.tables import Estimate
from train.finetuning.contrastive import silhouettes

SHUFFLES = 10  # how often genres are reshuffled for what chance reaches
_BLOCK_ROWS = 1024

Values = tuple[Floats, NDArray[np.int64]]  # some values, and the video of each


def estimate(
    spaces: Sequence[EmbeddedVideos],
    measured: Sequence[Values],
    scoring: Scoring,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Estimate:
    """The mean of what was measured in each run's space, over its videos.

    A resample of the videos weights the values of each; what is near to what stays as it is.
    """
    if not spaces:
        return NO_VALUE
    means = [mean(values) for values in measured]
    same = len({space.ids for space in spaces}) == 1
    pairs = zip(spaces, measured, strict=True)
    drawn = [_resampled(space, values, scoring) for space, values in pairs] if same else ()
    return Estimate.of(means, drawn, scoring.confidence, bounds)


def mean(values: Values) -> float:
    """NaN of none."""
    return float(values[0].mean()) if len(values[0]) else float("nan")


def _resampled(space: EmbeddedVideos, measured: Values, scoring: Scoring) -> Floats:
    """The mean in each resample, (resamples,)."""
    values, videos = measured
    blocks = resample_weights(
        len(space.ids), resamples=scoring.resamples, seed=scoring.seed, groups=space.groups, at_once=100
    )
    found = []
    for block in blocks:
        weights = block[videos]
        total = weights.sum(axis=0)
        found.append(np.where(total > 0, values @ weights / np.maximum(total, 1), np.nan))
    return np.concatenate(found)


def genre_silhouettes(space: EmbeddedVideos) -> Values:
    """Silhouettes of unit vectors, as the fine-grained stage measures them."""
    of = space.target[:, space.target.any(axis=0)]
    known = of & ~of.all(axis=1, keepdims=True)
    return silhouettes(unit(space.vectors), space.target), np.nonzero(known)[0]


def random_silhouette(space: EmbeddedVideos) -> float:
    """The silhouette of genres that are dealt out to the videos at random."""
    random = np.random.default_rng(0)
    dealt = (replace(space, target=random.permutation(space.target)) for _ in range(SHUFFLES))
    return float(np.mean([mean(genre_silhouettes(each)) for each in dealt]))


def nearest(space: EmbeddedVideos, most: int) -> NDArray[np.int64]:
    """The nearest other videos of each by the cosine, (videos, at most ``most``), the nearest first."""
    units = unit(space.vectors)
    found = []
    for start in range(0, len(units), _BLOCK_ROWS):
        cosines = units[start : start + _BLOCK_ROWS] @ units.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf
        numbers = np.broadcast_to(np.arange(len(units)), cosines.shape)
        found.append(best(numbers, cosines, min(most, len(units) - 1))[0])
    return np.concatenate(found)


def precision(space: EmbeddedVideos, neighbours: NDArray[np.int64], most: int | None = None) -> Values:
    """The share of the first ``most`` neighbours (videos, n) that have a genre in common with the video."""
    common = (space.target[neighbours[:, :most]] & space.target[:, None]).any(axis=2)
    return common.mean(axis=1), np.arange(len(space.ids))


def random_precision(space: EmbeddedVideos) -> float:
    """What neighbours reach that are drawn from all other videos: the share that has a genre in common."""
    genres = space.target.astype(np.float32)
    blocks = (genres[start : start + _BLOCK_ROWS] for start in range(0, len(genres), _BLOCK_ROWS))
    common = sum(int((block @ genres.T > 0).sum()) for block in blocks)
    itself = int(space.target.any(axis=1).sum())
    return (common - itself) / (len(genres) * max(len(genres) - 1, 1))
