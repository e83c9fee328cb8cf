"""Vectors to places in a plane: t-SNE and UMAP."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.errors import UsageError, to_install, unknown
from train.errors import DataError

METHODS: Mapping[str, str] = {"tsne": "t-SNE", "umap": "UMAP"}  # in options, and on pictures
LEAST_VIDEOS = 5
COMPONENTS = 50  # wider vectors are reduced to so many principal components, as is usual before t-SNE

Floats = NDArray[np.float64]


def check_methods(methods: tuple[str, ...]) -> None:
    """Raises UsageError for methods that are unknown or not installed, before anything is computed."""
    if not methods:
        raise UsageError(f"--methods names none; there are {', '.join(METHODS)}")
    for name in methods:
        if name not in METHODS:
            raise unknown("--methods names", name, METHODS)
    if "umap" in methods and find_spec("umap") is None:
        raise UsageError(f"UMAP needs the package umap-learn: {to_install('map')}, or pass --methods tsne")


def project(vectors: NDArray[Any], method: str, *, neighbours: int | None = None, seed: int = 0) -> Floats:
    """Places (videos, 2) of ``vectors`` (videos, width): around 0, the farthest coordinate 1 from it.

    Vectors are compared by their cosine, as `retrieve` does: their lengths are made 1. Both methods begin
    with the first two principal components, which keeps what the map shows at large (Kobak and Linderman
    2021), and a seed, so the same vectors give the same map. ``neighbours`` is the perplexity of t-SNE
    (default 30, the usual one of van der Maaten and Hinton 2008, or a third of the videos) and the number of
    neighbours of UMAP (default 15, as its library). A map may be turned: the longer side lies horizontally.

    Raises DataError for too few videos, or vectors that are not finite or all the same.
    """
    from sklearn.decomposition import PCA

    if len(vectors) < LEAST_VIDEOS:
        raise DataError(f"a map needs {LEAST_VIDEOS} videos or more, there are {len(vectors)}: add some")
    if not np.isfinite(vectors).all():
        raise DataError("the model gives vectors that are not finite: train again with a lower learning rate")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)
    if np.ptp(units, axis=0).max() < 1e-6:
        raise DataError("the model gives all videos the same vector, so there is no map: train it further")
    if units.shape[1] > COMPONENTS:
        units = PCA(min(COMPONENTS, len(units)), random_state=seed).fit_transform(units)
    elif units.shape[1] == 1:
        units = np.pad(units, ((0, 0), (0, 1)))
    places = (_tsne if method == "tsne" else _umap)(units, neighbours, seed)
    return _turned(places.astype(np.float64))


def _tsne(units: NDArray[Any], neighbours: int | None, seed: int) -> NDArray[Any]:
    from sklearn.manifold import TSNE

    perplexity = min(float(neighbours or 30), (len(units) - 1) / 3)
    found: NDArray[Any] = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(units)
    return found


def _umap(units: NDArray[Any], neighbours: int | None, seed: int) -> NDArray[Any]:
    from umap import UMAP

    near = min(neighbours or 15, len(units) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = UMAP(n_neighbors=near, init="pca", random_state=seed, n_jobs=1)
        found: NDArray[Any] = model.fit_transform(units)
    return found


def _turned(places: Floats) -> Floats:
    """On the principal axes, the longer one first, in a frame from -1 to 1."""
    centred = places - places.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])
    turned = centred @ (axes * signs[:, None]).T
    turned -= (turned.max(axis=0) + turned.min(axis=0)) / 2
    framed: Floats = turned / np.abs(turned).max()
    return framed
