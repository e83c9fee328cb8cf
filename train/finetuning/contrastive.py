"""What the fine-grained stage minimises, and how tight the genres stay meanwhile."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

_BLOCK_ROWS = 1024


def nt_xent(first: Tensor, second: Tensor, *, temperature: float = 0.5) -> Tensor:
    """The normalised temperature-scaled cross-entropy (Chen et al. 2020, "SimCLR", eq. 1), a scalar.

    Row i of ``first`` and of ``second``, both (pairs, width), are two views of one video. Each of the 2 N
    vectors has to find its other half among the 2 N - 1 others by cosine similarity; the mean over all.
    """
    pairs = len(first)
    vectors = functional.normalize(torch.cat([first, second]).float(), dim=1)
    likeness = vectors @ vectors.T / temperature
    itself = torch.eye(2 * pairs, dtype=torch.bool, device=likeness.device)
    partner = torch.arange(2 * pairs, device=likeness.device).roll(pairs)
    return functional.cross_entropy(likeness.masked_fill(itself, -torch.inf), partner)


def silhouette(vectors: ArrayLike, members: ArrayLike) -> float:
    """The mean of :func:`silhouettes`; NaN where there is none."""
    values = silhouettes(vectors, members)
    return float(values.mean()) if len(values) else float("nan")


def silhouettes(vectors: ArrayLike, members: ArrayLike) -> NDArray[np.float64]:
    """The silhouette (Rousseeuw 1987) of every video in every genre that it has, (pairs,), video by video.

    ``vectors`` (videos, width) are compared by their Euclidean distance, ``members`` (videos, genres) is
    bool. With a the mean distance to the genre's other videos and b the smallest mean distance to the
    videos of a genre that the video does not have, it is (b - a) / max(a, b); of a genre's only video 0.
    Where every video has one genre that is Rousseeuw's, and so scikit-learn's. A video that has all genres
    has no silhouette. Memory: a block of distances, 1024 rows.
    """
    points = np.asarray(vectors, np.float64)
    of = np.asarray(members, bool)
    of = of[:, of.any(axis=0)]
    counts = of.sum(axis=0)
    found = []
    for start in range(0, len(points), _BLOCK_ROWS):
        mine = of[start : start + _BLOCK_ROWS]
        sums = _distances(points[start : start + _BLOCK_ROWS], points, start) @ of
        inside = sums / np.maximum(counts - 1, 1)
        outside = np.where(mine, np.inf, sums / counts).min(axis=1, initial=np.inf, keepdims=True)
        widest = np.maximum(np.maximum(inside, outside), np.finfo(float).tiny)
        with np.errstate(invalid="ignore"):
            values = np.where(counts > 1, (outside - inside) / widest, 0.0)
        found.append(values[mine & np.isfinite(outside)])
    return np.concatenate(found) if found else np.zeros(0)


def _distances(some: NDArray[np.float64], every: NDArray[np.float64], start: int) -> NDArray[np.float64]:
    """Euclidean, (some, every); ``some`` are those from ``start`` on, and each is 0 from itself."""
    squares = (some**2).sum(axis=1)[:, None] + (every**2).sum(axis=1) - 2 * some @ every.T
    distances: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0))
    distances[np.arange(len(some)), start + np.arange(len(some))] = 0
    return distances
