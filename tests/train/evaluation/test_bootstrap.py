"""Resamples: drawn by group, the same from the same seed, and intervals of the right width."""

from __future__ import annotations

import numpy as np
import pytest

from train.errors import DataError
from train.evaluation import bootstrap
from train.evaluation.bootstrap import interval, replicates, resample_weights
from train.evaluation.metrics import Floats, Measures, unit_weights


def drawn(videos: int, **options: object) -> Floats:
    options = {"resamples": 40, "seed": 3} | options
    return np.concatenate(list(resample_weights(videos, **options)), axis=1)  # type: ignore[arg-type]


def test_as_many_videos_are_drawn_as_there_are() -> None:
    weights = drawn(25)
    assert weights.shape == (25, 40)
    assert (weights.sum(axis=0) == 25).all()
    assert len({tuple(column) for column in weights.T}) == 40


def test_the_same_seed_draws_the_same_whatever_the_block() -> None:
    assert (drawn(25) == drawn(25, at_once=7)).all()
    assert (drawn(25) != drawn(25, seed=4)).any()


def test_a_group_is_drawn_as_a_whole() -> None:
    groups = ["film a", "film b", "film a", None, None, "film a"]
    weights = drawn(6, groups=groups)
    assert (weights[0] == weights[2]).all()
    assert (weights[0] == weights[5]).all()
    assert (weights[3] != weights[4]).any(), "videos of no group are their own"
    assert (weights[[0, 1, 3, 4]].sum(axis=0) == 4).all()


def test_as_many_groups_as_videos() -> None:
    with pytest.raises(DataError, match="2 groups for 3 videos"):
        drawn(3, groups=["a", "b"])


def test_memory_is_bounded_by_blocks_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    target = rng.random((20, 3)) < 0.4
    measures = Measures(target, rng.random((20, 3)))
    whole, whole_by_genre = replicates(measures, resamples=9, seed=1)
    monkeypatch.setattr(bootstrap, "CELLS_AT_ONCE", 240)  # four resamples at once
    overall, by_genre = replicates(measures, resamples=9, seed=1)
    for name, values in whole.items():
        np.testing.assert_allclose(overall[name], values, err_msg=name)
    assert by_genre["ap"].shape == whole_by_genre["ap"].shape == (3, 9)


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    """A share of 0.3 among 400 videos has the standard error 0.0229; 95 % lie within 1.96 of them."""
    target = np.zeros((400, 1), dtype=bool)
    score = (np.arange(400) < 120).astype(float)[:, None]  # 120 wrong decisions
    overall, _ = replicates(Measures(target, score, thresholds=(0.5,)), resamples=4000, seed=0)
    low, high = interval(0.3, overall["hamming_loss@0.5"], confidence=0.95)
    assert (low, high) == pytest.approx((0.3 - 1.96 * 0.0229, 0.3 + 1.96 * 0.0229), abs=0.004)


def test_an_interval_mirrors_its_resamples_and_keeps_its_bounds() -> None:
    drawn = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    assert interval(0.6, drawn, confidence=0.5) == pytest.approx((2 * 0.6 - 0.8, 2 * 0.6 - 0.6))
    assert interval(0.85, drawn, confidence=0.5) == pytest.approx((0.9, 1.0))
    assert interval(-0.6, -drawn, confidence=0.5, bounds=(-1, 1)) == pytest.approx((-0.6, -0.4))


@pytest.mark.slow
def test_the_interval_of_macro_average_precision_holds_the_truth() -> None:
    """Of 40 sets of 300 videos at least 34 intervals of 95 % do; the plain quantiles of few do."""
    rng = np.random.default_rng(0)
    shares = np.geomspace(0.5, 0.02, 10)

    def draw(videos: int) -> Measures:
        target = rng.random((videos, 10)) < shares
        return Measures(target, rng.normal(size=target.shape) + target, thresholds=())

    truth = draw(200_000).figures(unit_weights(200_000))[0]["ap_macro"][0]
    held = quantiles_held = 0
    for seed in range(40):
        measures = draw(300)
        value = measures.figures(unit_weights(300))[0]["ap_macro"][0]
        resampled, _ = replicates(measures, resamples=100, seed=seed)
        low, high = interval(value, resampled["ap_macro"], confidence=0.95)
        held += bool(low <= truth <= high)
        quantiles_held += bool(2 * value - high <= truth <= 2 * value - low)
    assert held >= 34
    assert quantiles_held < 28


def test_resamples_without_a_value_are_left_out() -> None:
    drawn = np.array([[0.1, np.nan, 0.3], [np.nan] * 3])
    low, high = interval([0.2, np.nan], drawn, confidence=0.5)
    assert (low[0], high[0]) == pytest.approx((0.15, 0.25))
    assert np.isnan([low[1], high[1]]).all()


def test_no_resamples_give_no_interval() -> None:
    overall, _ = replicates(Measures([[1, 0], [0, 1]], [[0.1, 0.2], [0.3, 0.4]]), resamples=0, seed=0)
    assert overall["ap_macro"].size == 0
    assert np.isnan(interval(0.5, overall["ap_macro"], confidence=0.9)).all()
