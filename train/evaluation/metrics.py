"""Figures of multi-label classification, of many weightings of the videos at once.

``target`` is (videos, genres) bool, ``score`` (videos, genres) float, ``weights`` (videos, resamples): how
often each video counts. Ones give the plain figure, the counts of a bootstrap resample its figure, so that
both are one computation. The rules for genres and videos without a positive are in ``docs/metrics.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from train.errors import DataError

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Average = Literal["micro", "macro", "weighted", "samples"]
AVERAGES: tuple[Average, ...] = get_args(Average)
DEFAULT_THRESHOLDS = (0.5, 0.3)
MAP = "ap_macro_nonempty"  # what a training shows as mAP and goes by


def unit_weights(videos: int) -> Floats:
    """Each video once: (videos, 1)."""
    return np.ones((videos, 1))


def ratio(part: Floats, whole: Floats, *, empty: float = 0.0) -> Floats:
    """``part / whole``, and ``empty`` where the whole is 0."""
    quotient: Floats = np.full(np.broadcast_shapes(part.shape, whole.shape), empty)
    np.divide(part, whole, out=quotient, where=whole > 0)
    return quotient


def checked(target: ArrayLike, score: ArrayLike) -> tuple[Bools, Floats]:
    """Both as arrays of one shape (videos, genres). Raises DataError."""
    truth, scores = np.asarray(target), np.asarray(score, dtype=np.float64)
    if truth.ndim != 2 or truth.shape != scores.shape or not truth.size:
        raise DataError(
            f"targets have the shape {truth.shape} and scores {scores.shape}; give both as (videos, genres), "
            "with at least one video"
        )
    if not np.isin(truth, (0, 1)).all():
        raise DataError("targets hold other values than 0 and 1; give 1 where a video has the genre")
    if not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).any(axis=1).sum())
        raise DataError(
            f"the scores of {bad} of {len(scores)} videos are NaN or infinite, so they have no order; "
            "look for NaNs in the features, or train again with a lower learning rate"
        )
    return truth.astype(bool), scores


@dataclass(frozen=True)
class Ranking:
    """Cells in the order of falling score; cells of equal score are one step.

    ``videos``: (cells,) the row of the weights of each cell; ``target``: (cells,); ``ends``: (steps,) the
    index of the last cell of each step.
    """

    videos: NDArray[np.intp]
    target: Bools
    ends: NDArray[np.intp]

    @classmethod
    def of(cls, target: Bools, score: Floats, videos: NDArray[np.intp]) -> Ranking:
        order = np.argsort(-score, kind="stable")
        falls = np.flatnonzero(np.diff(score[order]))
        return cls(videos[order], target[order], np.append(falls, len(order) - 1))

    def areas(self, weights: Floats) -> tuple[Floats, Floats]:
        """Average precision and the area under the ROC curve, each (resamples,).

        Average precision is the sum over the steps of (gain of recall) times precision, not interpolated; 0
        without a positive. The other is the chance that a positive is above a negative, where ties count
        half; NaN unless there are both. Both are sums over the steps that hold a positive.
        """
        if not self.target.any():
            return np.zeros(weights.shape[1]), np.full(weights.shape[1], np.nan)
        gained, before, seen, total = self._positive_steps(weights)
        hits = gained.cumsum(axis=0)
        precision_area = ratio((gained * ratio(hits, seen)).sum(axis=0), hits[-1])
        negatives_above = (seen + before) / 2 - (hits - gained / 2)
        lost = (gained * negatives_above).sum(axis=0)
        return precision_area, 1 - ratio(lost, hits[-1] * (total - hits[-1]), empty=np.nan)

    def precision_at(self, recalls: Floats, weights: Floats) -> Floats:
        """Precision where each recall is first reached, (recalls, resamples); NaN without a positive."""
        found = np.full((len(recalls), weights.shape[1]), np.nan)
        if not self.target.any():
            return found
        gained, _, seen, _ = self._positive_steps(weights)
        hits = gained.cumsum(axis=0)
        precision = ratio(hits, seen)
        wanted = np.multiply.outer(recalls, hits[-1]) * (
            1 - 1e-12
        )  # a recall that is just reached is reached
        for resample in np.flatnonzero(hits[-1]):
            first = np.searchsorted(hits[:, resample], np.maximum(wanted[:, resample], 1e-12))
            found[:, resample] = precision[first, resample]
        return found

    def _positive_steps(self, weights: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Of the steps that hold a positive: the weight of their positives, the weight above each and down to
        its end, (steps, resamples) each, and the weight of all cells.
        """
        positive = np.flatnonzero(self.target)
        steps, first = np.unique(np.searchsorted(self.ends, positive), return_index=True)
        gained = np.add.reduceat(weights[self.videos[positive]], first, axis=0)
        return gained, *self._running(weights, steps)

    def _running(self, weights: Floats, steps: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        """The weight above some steps, down to their ends, (steps, resamples) each, and of all cells.

        Cells between those steps are summed before the running sum is taken, which is most of the work.
        """
        stops = self.ends[steps] + 1
        starts = np.where(steps > 0, self.ends[steps - 1] + 1, 0)
        bounds = np.unique(np.concatenate([[0], starts, stops[stops < len(self.videos)]]))
        running = np.zeros((len(bounds) + 1, weights.shape[1]))
        np.add.reduceat(weights[self.videos], bounds, axis=0).cumsum(axis=0, out=running[1:])
        return running[np.searchsorted(bounds, starts)], running[np.searchsorted(bounds, stops)], running[-1]

    def curve(self) -> tuple[Floats, Floats]:
        """Recall and precision after each step, by rising recall; empty without a positive."""
        hits = self.target.cumsum()[self.ends].astype(np.float64)
        if not hits[-1]:
            return np.zeros(0), np.zeros(0)
        return hits / hits[-1], hits / (self.ends + 1)


class Measures:
    """All figures of one set of predictions; what does not depend on the weights is computed once."""

    def __init__(
        self, target: ArrayLike, score: ArrayLike, *, thresholds: Sequence[float] = DEFAULT_THRESHOLDS
    ) -> None:
        self.target, self.score = checked(target, score)
        self.thresholds = tuple(thresholds)

    @cached_property
    def genre_rankings(self) -> list[Ranking]:
        rows = np.arange(len(self.target))
        columns = zip(self.target.T, self.score.T, strict=True)
        return [Ranking.of(target, score, rows) for target, score in columns]

    @cached_property
    def pooled_ranking(self) -> Ranking:
        """All (video, genre) cells in one order."""
        videos, genres = self.target.shape
        return Ranking.of(self.target.ravel(), self.score.ravel(), np.repeat(np.arange(videos), genres))

    @cached_property
    def _ranks(self) -> tuple[Floats, Floats]:
        """Of each cell: how many genres of its video score as high or higher, and the true among them."""
        above = np.zeros(self.target.shape)
        true = np.zeros(self.target.shape)
        for genre, score in enumerate(self.score.T):
            reached = self.score >= score[:, None]
            above[:, genre] = reached.sum(axis=1)
            true[:, genre] = (reached & self.target).sum(axis=1)
        return above, true

    @cached_property
    def video_figures(self) -> dict[str, Floats]:
        """(videos,) each: what is measured within a video and averaged over videos."""
        above, true = self._ranks
        own = self.target.sum(axis=1).astype(np.float64)
        others = self.target.shape[1] - own
        precision = ratio((self.target * true / above).sum(axis=1), own)
        return {
            "ap_samples": precision,
            "lrap": np.where(own > 0, precision, 1.0),
            "ranking_loss": ratio((self.target * (above - true)).sum(axis=1), own * others),
            "coverage_error": (self.target * above).max(axis=1),
        }

    def figures(self, weights: Floats) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Every figure of all genres together, (resamples,) each, and of each, (genres, resamples)."""
        areas = [ranking.areas(weights) for ranking in self.genre_rankings]
        by_genre = {
            "ap": np.stack([area for area, _ in areas]),
            "roc_auc": np.stack([area for _, area in areas]),
        }
        overall = self._averaged(by_genre, weights)
        for name, values in self.video_figures.items():
            overall[name] = values @ weights / weights.sum(axis=0)
        for threshold in self.thresholds:
            of_all, of_each = decision_figures(self.target, self.score >= threshold, weights)
            overall |= {f"{name}@{threshold:g}": values for name, values in of_all.items()}
            by_genre |= {f"{name}@{threshold:g}": values for name, values in of_each.items()}
        return overall, by_genre

    def _averaged(self, by_genre: dict[str, Floats], weights: Floats) -> dict[str, Floats]:
        area, auc = by_genre["ap"], by_genre["roc_auc"]
        support = self.target.T.astype(np.float64) @ weights
        filled, both = (mask.sum(axis=0).astype(np.float64) for mask in (support > 0, ~np.isnan(auc)))
        return {
            "ap_micro": self.pooled_ranking.areas(weights)[0],
            "ap_macro": area.mean(axis=0),
            MAP: ratio(area.sum(axis=0), filled, empty=np.nan),
            "ap_weighted": ratio((area * support).sum(axis=0), support.sum(axis=0)),
            "roc_auc_macro": ratio(np.nan_to_num(auc).sum(axis=0), both, empty=np.nan),
        }


def mean_average_precision(target: ArrayLike, score: ArrayLike) -> float:
    """The mean over the genres that some video has; NaN without any."""
    return _plain(MAP, target, score)


def average_precision(target: ArrayLike, score: ArrayLike, *, average: Average = "macro") -> float:
    """Average precision: of the pooled cells (micro), or its mean over genres, plain (macro) or by their
    number of positives (weighted), or over videos (samples).

    A genre or a video without a positive counts 0.
    """
    if average not in AVERAGES:
        raise DataError(f"no average {average!r} of average precision; there are {', '.join(AVERAGES)}")
    return _plain(f"ap_{average}", target, score)


def _plain(name: str, target: ArrayLike, score: ArrayLike) -> float:
    measures = Measures(target, score, thresholds=())
    overall, _ = measures.figures(unit_weights(len(measures.target)))
    return float(overall[name][0])


def decision_figures(
    target: Bools, decision: Bools, weights: Floats
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Precision, recall and F1 of decisions in every average and of each genre, and the Hamming loss.

    A quotient of 0 by 0 is 0. F1 is averaged as the other two are: ``f1_macro`` is the mean of the genres'
    F1.
    """
    cells = (target & decision, decision, target)
    hits, chosen, true = (cell.T.astype(np.float64) @ weights for cell in cells)
    by_genre = _precision_recall_f1(hits, chosen, true)
    by_video = _precision_recall_f1(*(cell.sum(axis=1).astype(np.float64) for cell in cells))
    pooled = _precision_recall_f1(hits.sum(axis=0), chosen.sum(axis=0), true.sum(axis=0))
    support, size = ratio(true, true.sum(axis=0)), weights.sum(axis=0)
    overall = {"hamming_loss": (target != decision).mean(axis=1) @ weights / size}
    for name in by_genre:
        overall[f"{name}_micro"] = pooled[name]
        overall[f"{name}_macro"] = by_genre[name].mean(axis=0)
        overall[f"{name}_weighted"] = (by_genre[name] * support).sum(axis=0)
        overall[f"{name}_samples"] = by_video[name] @ weights / size
    return overall, by_genre


def _precision_recall_f1(hits: Floats, chosen: Floats, true: Floats) -> dict[str, Floats]:
    return {
        "precision": ratio(hits, chosen),
        "recall": ratio(hits, true),
        "f1": ratio(2 * hits, chosen + true),
    }
