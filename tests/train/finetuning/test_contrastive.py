"""NT-Xent and the silhouette against the reference, scikit-learn and plain loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_samples

from train.finetuning.contrastive import nt_xent, silhouette, silhouettes

TOLERANCE = 1e-9  # that of tests/parity/metrics.npz
IN_FLOAT32 = 1e-5


@pytest.fixture(scope="module")
def stored(vectors: Any) -> dict[str, Any]:
    stored: dict[str, Any] = vectors.reference("metrics")
    return stored


@pytest.mark.parametrize("case", ["nt0", "nt1"])
def test_nt_xent_is_the_reference(stored: dict[str, Any], case: str) -> None:
    first, second = (torch.from_numpy(stored[f"{case}_{view}"]) for view in "ab")
    for temperature, name in ((0.5, "loss"), (0.07, "loss_tau0.07")):
        mine = float(nt_xent(first, second, temperature=temperature))
        assert mine == pytest.approx(float(stored[f"f64_{case}_{name}"]), abs=IN_FLOAT32)


def test_nt_xent_is_its_formula() -> None:
    random = np.random.default_rng(0)
    first, second = random.standard_normal((2, 4, 3))
    views = [view / np.linalg.norm(view) for view in (*first, *second)]
    terms = []
    for i in range(8):
        partner, others = (i + 4) % 8, [j for j in range(8) if j != i]
        weights = {j: math.exp(float(views[i] @ views[j]) / 0.3) for j in others}
        terms.append(-math.log(weights[partner] / sum(weights.values())))
    mine = nt_xent(torch.from_numpy(first), torch.from_numpy(second), temperature=0.3)
    assert float(mine) == pytest.approx(float(np.mean(terms)), abs=IN_FLOAT32)


def test_nt_xent_draws_halves_together_and_others_apart() -> None:
    first = torch.eye(3)
    together, apart = (float(nt_xent(first, other)) for other in (first, first.roll(1, 0)))
    assert together < math.log(5) < apart


@pytest.mark.parametrize("case", ["sil0", "sil1"])
def test_the_silhouette_of_one_genre_each_is_the_reference(stored: dict[str, Any], case: str) -> None:
    points, labels = stored[f"{case}_x"].astype(np.float64), stored[f"{case}_labels"]
    members = labels[:, None] == np.unique(labels)
    mine = silhouettes(points, members)
    np.testing.assert_allclose(mine, stored[f"f64_{case}_euclidean_samples"], atol=TOLERANCE)
    assert silhouette(points, members) == pytest.approx(float(stored[f"f64_{case}_euclidean"]), abs=TOLERANCE)


def test_the_silhouette_of_one_genre_each_is_that_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    from train.finetuning import contrastive

    random = np.random.default_rng(0)
    points, labels = random.standard_normal((40, 5)), random.integers(4, size=40)
    members = np.concatenate([labels[:, None] == np.arange(4), np.zeros((40, 1), bool)], axis=1)
    expected = silhouette_samples(points, labels)
    np.testing.assert_allclose(silhouettes(points, members), expected, atol=TOLERANCE)
    monkeypatch.setattr(contrastive, "_BLOCK_ROWS", 7)
    np.testing.assert_allclose(silhouettes(points, members), expected, atol=TOLERANCE)


def by_loops(points: Any, members: Any) -> list[float]:
    found = []
    genres = range(members.shape[1])

    def mean_distance(i: int, genre: int) -> float:
        others = [j for j in range(len(points)) if members[j, genre] and j != i]
        return float(np.mean([np.linalg.norm(points[i] - points[j]) for j in others]))

    for i in range(len(points)):
        strangers = [genre for genre in genres if not members[i, genre] and members[:, genre].any()]
        for genre in genres:
            if not members[i, genre] or not strangers:
                continue
            if members[:, genre].sum() == 1:
                found.append(0.0)
                continue
            inside, outside = mean_distance(i, genre), min(mean_distance(i, other) for other in strangers)
            found.append((outside - inside) / max(inside, outside))
    return found


@pytest.mark.parametrize("everything", [True, False])
def test_the_silhouette_of_several_genres_each(everything: bool) -> None:
    random = np.random.default_rng(1)
    points, members = random.standard_normal((20, 3)), random.random((20, 4)) < 0.4
    members[:, 3] = False
    members[5, 3] = True  # a genre of one video
    members[7] = False
    if everything:
        members[6] = True
    mine = silhouettes(points, members)
    np.testing.assert_allclose(mine, by_loops(points, members), atol=TOLERANCE)
    assert (0.0 in mine) is not everything
    assert silhouette(points, members) == pytest.approx(float(mine.mean()))


def test_without_two_genres_there_is_no_silhouette() -> None:
    assert math.isnan(silhouette(np.eye(3), np.ones((3, 1), bool)))
    assert math.isnan(silhouette(np.zeros((0, 3)), np.zeros((0, 2), bool)))
