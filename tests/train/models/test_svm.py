"""Support vector machines: decisions against scikit-learn's, Platt's sigmoid against a plain minimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.svm import SVC

from tests.fixtures.batches import make_batch
from train.loading.batch import Batch
from train.models.svm import LEAST_SLOPE, platt
from train.registry import make_model

DIMS = {"a": 4, "b": 3}


def videos(count: int, seed: int) -> Batch:
    """Whose first genre is a circle in expert a, the second a side of expert b; the third nobody has."""
    made = make_batch(
        {"a": [1 + i % 3 for i in range(count)], "b": [i % 4 for i in range(count)]}, DIMS, seed=seed
    )
    middle = made.features["a"].sum(1)[:, :2] / (~made.padding["a"]).sum(1, keepdim=True)
    side = made.features["b"].sum(1)[:, 0]
    labels = torch.stack([middle.norm(dim=1) < 0.8, side > 0, side > 1e9], dim=1).float()
    return Batch(made.ids, made.features, made.padding, made.present, made.start_seconds, labels)


@pytest.fixture(scope="module")
def parts() -> tuple[Batch, Batch]:
    return videos(80, 1), videos(40, 2)


def solved(parts: tuple[Batch, Batch], seed: int = 5, **options: Any) -> Any:
    model: Any = make_model("svm", DIMS, 3, options)
    model.solve([parts[0].select(range(40)), parts[0].select(range(40, 80))], [parts[1]], seed=seed)
    return model


def arrays(model: Any, batch: Batch) -> tuple[Any, Any]:
    assert batch.labels is not None
    return model.embed(batch).double().numpy(), batch.labels.numpy() > 0


def test_a_video_is_its_means_and_what_it_lacks(parts: tuple[Batch, Batch]) -> None:
    model: Any = make_model("svm", DIMS, 3)
    batch = parts[0]
    found = model.embed(batch)
    assert found.shape == (80, 4 + 3 + 2)
    torch.testing.assert_close(found[2, :4], batch.features["a"][2].mean(0))  # 3 steps, the longest
    assert found[4, 4:7].tolist() == [0, 0, 0] and found[4, 7:].tolist() == [0, 1]


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.slow
def test_decisions_and_probabilities_are_those_of_scikit_learn(
    kernel: Any, parts: tuple[Batch, Batch]
) -> None:
    model = solved(parts, kernel=(kernel,), c=(3.0,), gamma=(0.2,))
    x, y = arrays(model, parts[0])
    other, _ = arrays(model, parts[1])
    for genre in (0, 1):
        machine = SVC(C=3, gamma=0.2, kernel=kernel).fit(x, y[:, genre])
        expected = machine.decision_function(other)
        found = model.decide(model.embed(parts[1]))[:, genre].numpy()
        np.testing.assert_allclose(found, expected, atol=2e-5)
        folds = StratifiedKFold(5, shuffle=True, random_state=5)
        slope, offset = platt(
            cross_val_predict(machine, x, y[:, genre], cv=folds, method="decision_function"), y[:, genre]
        )
        logits = model(parts[1])[:, genre].numpy()
        np.testing.assert_allclose(logits, slope * expected + offset, atol=1e-4)
    assert model.duals.shape == (3, len(model.vectors)) and len(model.vectors) <= 80


def test_each_genre_takes_its_own_kernel(parts: tuple[Batch, Batch]) -> None:
    """The first genre is a circle, which no line cuts out; the second is a side of one."""
    model = solved(parts, kernel=("linear", "rbf"), c=(3.0,), gamma=(0.2,))
    both = model.decide(model.embed(parts[1]))
    assert model.gammas.tolist()[:2] == pytest.approx([0.2, 0.0])
    for genre, kernel in enumerate(("rbf", "linear")):
        alone = solved(parts, kernel=(kernel,), c=(3.0,), gamma=(0.2,))
        torch.testing.assert_close(both[:, genre], alone.decide(alone.embed(parts[1]))[:, genre])


def test_a_genre_that_nobody_has_is_predicted_by_platts_target(parts: tuple[Batch, Batch]) -> None:
    found = solved(parts, c=(1.0,), gamma=(0.1,))(parts[1])[:, 2].sigmoid()
    torch.testing.assert_close(found, torch.full((40,), 1 / 82))


def test_each_genre_takes_the_pair_of_the_grid_that_does_best_in_validation(
    parts: tuple[Batch, Batch],
) -> None:
    grid: dict[str, Any] = {"c": (0.01, 10.0), "gamma": (0.1, 30.0)}
    model = solved(parts, **grid)
    x, y = arrays(model, parts[0])
    other, target = arrays(model, parts[1])
    from sklearn.metrics import average_precision_score

    for genre in (0, 1):
        reached = {
            (c, gamma): average_precision_score(
                target[:, genre], SVC(C=c, gamma=gamma).fit(x, y[:, genre]).decision_function(other)
            )
            for c in grid["c"]
            for gamma in grid["gamma"]
        }
        best = max(reached, key=lambda pair: reached[pair])
        expected = SVC(C=best[0], gamma=best[1]).fit(x, y[:, genre]).decision_function(other)
        np.testing.assert_allclose(model.decide(model.embed(parts[1]))[:, genre], expected, atol=2e-5)
        assert float(model.gammas[genre]) == pytest.approx(best[1])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_machines(parts: tuple[Batch, Batch]) -> None:
    first, again, other = solved(parts), solved(parts), solved(parts, seed=6)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not torch.equal(first.slopes, other.slopes) and torch.equal(first.vectors, other.vectors)


def test_platts_sigmoid_is_the_minimum_of_his_cross_entropy() -> None:
    random = np.random.default_rng(0)
    labels = random.random(200) < 0.3
    decisions = random.normal(size=200) + 2.0 * labels - 1
    positives, negatives = labels.sum(), (~labels).sum()
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def cost(line: Any) -> float:
        z = line[0] * decisions + line[1]
        return float((np.logaddexp(0, z) - targets * z).sum())

    expected = minimize(cost, [0.0, 0.0], tol=1e-10).x
    assert platt(decisions, labels) == pytest.approx(tuple(expected), abs=1e-3)


def test_a_sigmoid_never_falls() -> None:
    labels = np.arange(20) < 5
    slope, offset = platt(np.where(labels, -1.0, 1.0), labels)
    share = (5 * 6 / 7 + 15 / 17) / 20
    assert slope == LEAST_SLOPE and offset == pytest.approx(np.log(share / (1 - share)))
