"""Places in a plane: what was near stays near, by the cosine, and the same each time."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from extract.errors import UsageError
from train.errors import DataError
from train.views import projection
from train.views.projection import METHODS, check_methods, project

Places = NDArray[np.float64]


def directions(count: int, width: int = 60) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors of any length around three directions, and which one it is."""
    random = np.random.default_rng(0)
    kinds = np.arange(count) % 3
    vectors = np.eye(3, width)[kinds] * 4 + 0.3 * random.standard_normal((count, width))
    return (vectors * random.uniform(0.1, 100, (count, 1))).astype(np.float32), kinds


def check(places: Places, again: Places, kinds: NDArray[np.int64]) -> None:
    assert places.shape == (len(kinds), 2) and np.abs(places).max() == pytest.approx(1)
    np.testing.assert_allclose(places.max(axis=0) + places.min(axis=0), 0, atol=1e-9)
    spread = places.var(axis=0)
    assert spread[0] >= spread[1], "the longer side is horizontal"
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (kinds[apart.argmin(axis=1)] == kinds).mean() > 0.9
    assert np.array_equal(places, again), "the same vectors, the same map"


def test_tsne_puts_together_what_points_the_same_way() -> None:
    vectors, kinds = directions(36)
    places = project(vectors, "tsne")
    check(places, project(vectors, "tsne"), kinds)
    scaled = vectors * (np.float32(2) ** np.arange(-18, 18, dtype=np.float32))[:, None]
    assert np.array_equal(project(scaled, "tsne"), places), "lengths of vectors do not matter"


@pytest.mark.skipif(
    importlib.util.find_spec("umap") is None, reason="needs umap-learn: pip install 'marquee-video[map]'"
)
@pytest.mark.slow
def test_umap_puts_together_what_points_the_same_way(tmp_path: Path) -> None:
    """In a process of its own, where its loops are not compiled: so few videos are faster without."""
    vectors, kinds = directions(12)
    np.save(tmp_path / "vectors.npy", vectors)
    code = (
        "import json, sys, numpy; from train.views.projection import project;"
        "vectors = numpy.load(sys.argv[1]);"
        "print(json.dumps([project(vectors, 'umap', neighbours=3).tolist() for _ in range(2)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "vectors.npy")],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    places, again = np.array(json.loads(done.stdout))
    check(places, again, kinds)


@pytest.mark.parametrize(("count", "width"), [(5, 1), (5, 2), (6, 100)])
def test_few_videos_and_few_values_are_enough(count: int, width: int) -> None:
    vectors = np.random.default_rng(1).standard_normal((count, width))
    assert np.isfinite(project(vectors, "tsne", neighbours=30)).all()


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        (np.eye(4), "needs 5 videos or more, there are 4"),
        (np.full((6, 3), np.nan), "not finite"),
        (np.arange(1, 7)[:, None] * np.ones((6, 3)), "all videos the same vector"),
        (np.zeros((6, 3)), "all videos the same vector"),
    ],
)
def test_what_has_no_map_is_refused(vectors: NDArray[np.float64], words: str) -> None:
    with pytest.raises(DataError, match=words):
        project(vectors, "tsne")


def test_methods_are_checked_before_anything_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"--methods names 'pca'; there are tsne, umap"):
        check_methods(("tsne", "pca"))
    with pytest.raises(UsageError, match="names none"):
        check_methods(())
    monkeypatch.setattr(projection, "find_spec", lambda name: None)
    check_methods(("tsne",))
    with pytest.raises(UsageError, match=r"pip install 'marquee-video\[map\]', or pass --methods tsne"):
        check_methods(tuple(METHODS))
