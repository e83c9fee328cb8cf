"""What chance alone scores: expected values of all figures of ``train.evaluation.metrics``, in closed form.

The random classifier draws each score on its own, evenly from 0 to 1, and sees nothing. Nothing is simulated:
its order is a random order, and its decisions at a threshold t are independent, each with chance 1 - t. The
frequency classifier knows how common each genre is, and nothing of the video.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from train.evaluation.metrics import MAP, Bools, Floats, ratio


def expected_average_precision(positives: ArrayLike, cells: int) -> Floats:
    """Mean average precision over all orders of ``cells`` cells of which some are positive; 0 without any.

    The cell at place k is positive with chance P/N, and then each of the k - 1 before it with chance
    (P - 1)/(N - 1). Summed over all k, the mean of (positives up to k)/k is H/N + (P - 1)/(N - 1) (1 - H/N),
    with H the harmonic number of N.
    """
    positive = np.asarray(positives, dtype=np.float64)
    first = float(np.sum(1 / np.arange(1, cells + 1))) / cells
    other = (positive - 1) / max(cells - 1, 1)
    return np.where(positive > 0, first + other * (1 - first), 0.0)


def expected_decisions(positives: ArrayLike, cells: int, threshold: float) -> dict[str, Floats]:
    """Mean precision, recall and F1 where each cell is chosen with chance 1 - threshold, on its own.

    With q chosen cells, q P/N of them are positive in the mean, so precision is P/N unless q = 0, and F1 =
    2 hits / (q + P) has the mean 2 q P / (N (q + P)), which is summed over the binomial law of q.
    """
    from scipy.stats import binom

    positive = np.asarray(positives, dtype=np.float64)
    chance = float(np.clip(1 - threshold, 0, 1))
    chosen = np.arange(cells + 1, dtype=np.float64)
    law = binom.pmf(chosen, cells, chance)
    counts, place = np.unique(positive, return_inverse=True)
    f1 = np.array([float(law @ ratio(2 * chosen * count / cells, chosen + count)) for count in counts])
    return {
        "precision": positive / cells * (1 - law[0]),
        "recall": np.where(positive > 0, chance, 0.0),
        "f1": f1[place].reshape(positive.shape),
    }


def random_figures(target: Bools, thresholds: Sequence[float]) -> tuple[dict[str, float], dict[str, Floats]]:
    """The random classifier's figures, by the names of ``Measures.figures``: of all genres, and of each."""
    videos, genres = target.shape
    support = target.sum(axis=0).astype(np.float64)
    own = target.sum(axis=1).astype(np.float64)
    both = (support > 0) & (support < videos)
    area = expected_average_precision(support, videos)
    area_in_video = expected_average_precision(own, genres)
    overall = {
        "ap_micro": float(expected_average_precision(support.sum(), videos * genres)),
        "ap_macro": float(area.mean()),
        MAP: float(area[support > 0].mean()) if support.any() else float("nan"),
        "ap_weighted": _weighted(area, support),
        "roc_auc_macro": 0.5 if both.any() else float("nan"),
        "ap_samples": float(area_in_video.mean()),
        "lrap": float(np.where(own > 0, area_in_video, 1.0).mean()),
        "ranking_loss": float(np.where((own > 0) & (own < genres), 0.5, 0.0).mean()),
        "coverage_error": float((own * (genres + 1) / (own + 1)).mean()),  # mean of the last of own places
    }
    by_genre = {"ap": area, "roc_auc": np.where(both, 0.5, np.nan)}
    for threshold in thresholds:
        wrong = np.where(target, threshold, 1 - threshold).mean()
        overall[f"hamming_loss@{threshold:g}"] = float(wrong)
        pooled = expected_decisions(support.sum(), videos * genres, threshold)
        in_genre = expected_decisions(support, videos, threshold)
        in_video = expected_decisions(own, genres, threshold)
        for name, values in in_genre.items():
            by_genre[f"{name}@{threshold:g}"] = values
            overall[f"{name}_micro@{threshold:g}"] = float(pooled[name])
            overall[f"{name}_macro@{threshold:g}"] = float(values.mean())
            overall[f"{name}_weighted@{threshold:g}"] = _weighted(values, support)
            overall[f"{name}_samples@{threshold:g}"] = float(in_video[name].mean())
    return overall, by_genre


def frequency_scores(target: Bools) -> Floats:
    """The frequency classifier: each video's score is the genre's share of the videos, (videos, genres)."""
    return np.broadcast_to(target.mean(axis=0), target.shape)


def _weighted(values: Floats, support: Floats) -> float:
    return float(values @ support / support.sum()) if support.any() else 0.0
