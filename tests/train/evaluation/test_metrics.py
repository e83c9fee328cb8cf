"""The metrics against scikit-learn, stored and live, and against the same figures of repeated videos."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as oracle

from train.errors import DataError
from train.evaluation.metrics import (
    AVERAGES,
    Measures,
    average_precision,
    decision_figures,
    mean_average_precision,
    unit_weights,
)

TOLERANCE = 1e-9  # that of tests/parity/metrics.npz
THREE = ("precision", "recall", "f1")


@pytest.fixture
def reference(vectors: Any) -> dict[str, Any]:
    stored: dict[str, Any] = vectors.reference("metrics")
    return stored


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():  # scikit-learn warns of genres and videos without a positive
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        yield


def figures(target: Any, score: Any, **options: Any) -> tuple[dict[str, float], dict[str, Any]]:
    overall, by_genre = Measures(target, score, **options).figures(unit_weights(len(target)))
    return (
        {name: float(values[0]) for name, values in overall.items()},
        {name: values[:, 0] for name, values in by_genre.items()},
    )


def data(seed: int, *, videos: int = 50, genres: int = 7, digits: int = 1) -> tuple[Any, Any]:
    """Rounded scores, so that there are ties; a genre of no video, one of all, a video without genres."""
    rng = np.random.default_rng(seed)
    target = rng.random((videos, genres)) < rng.uniform(0.05, 0.6, genres)
    target[:, 0], target[:, 1] = False, True
    target[0] = False
    return target, np.round(0.6 * rng.random((videos, genres)) + 0.3 * target, digits)


@pytest.mark.parametrize("case", [0, 1, 2])
def test_equal_to_the_stored_reference(reference: dict[str, Any], case: int) -> None:
    target, score = reference[f"case{case}_y"], reference[f"f64_case{case}_s"]
    overall, by_genre = figures(target, score)
    names = {
        "ap_macro": "ap_macro",
        "ap_micro": "ap_micro",
        "ap_weighted": "ap_weighted",
        "ap_samples": "ap_samples",
        "ap_macro_nonempty": "ap_macro_nonempty",
        "label_ranking_loss": "ranking_loss",
        "coverage_error": "coverage_error",
        "lrap": "lrap",
        "hamming_0.5": "hamming_loss@0.5",
        "auc_macro_valid": "roc_auc_macro",
    }
    for theirs, ours in names.items():
        assert overall[ours] == pytest.approx(float(reference[f"f64_case{case}_{theirs}"]), abs=TOLERANCE)
    np.testing.assert_allclose(by_genre["ap"], reference[f"f64_case{case}_ap_per_class"], atol=TOLERANCE)
    compared = len(names) + 1
    for key, stored in reference.items():
        if not key.startswith(f"f64_case{case}_prf_"):
            continue
        decided, _, average = key.removeprefix(f"f64_case{case}_prf_").partition("_")
        threshold = float(decided[2:])
        decision = score >= threshold if decided[:2] == "ge" else score > threshold
        of_all, of_each = decision_figures(target.astype(bool), decision, unit_weights(len(target)))
        mine = (
            [of_each[name][:, 0] for name in THREE]
            if average == "per_class"
            else [of_all[f"{name}_{average}"][0] for name in THREE]
        )
        np.testing.assert_allclose(mine, stored, atol=TOLERANCE, err_msg=key)
        compared += 1
    stored_figures = len([key for key in reference if key.startswith(f"f64_case{case}_")])
    assert compared == stored_figures - 1, "every figure of the reference is compared, the scores are none"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("digits", [1, 9])
@pytest.mark.slow
def test_equal_to_scikit_learn(seed: int, digits: int) -> None:
    target, score = data(seed, digits=digits)
    overall, by_genre = figures(target, score, thresholds=(0.4,))
    for average in AVERAGES:
        expected = oracle.average_precision_score(target, score, average=average)
        assert overall[f"ap_{average}"] == pytest.approx(expected, abs=TOLERANCE)
        assert average_precision(target, score, average=average) == overall[f"ap_{average}"]
        three = oracle.precision_recall_fscore_support(
            target, score >= 0.4, average=average, zero_division=0
        )[:3]
        assert [overall[f"{name}_{average}@0.4"] for name in THREE] == pytest.approx(three, abs=TOLERANCE)
    single = oracle.average_precision_score(target, score, average=None)
    np.testing.assert_allclose(by_genre["ap"], single, atol=TOLERANCE)
    both = (target.any(axis=0)) & ~target.all(axis=0)
    auc = oracle.roc_auc_score(target[:, both], score[:, both], average=None)
    np.testing.assert_allclose(by_genre["roc_auc"][both], auc, atol=TOLERANCE)
    assert np.isnan(by_genre["roc_auc"][~both]).all()
    expected = {
        "lrap": oracle.label_ranking_average_precision_score(target, score),
        "ranking_loss": oracle.label_ranking_loss(target, score),
        "coverage_error": oracle.coverage_error(target, score),
        "hamming_loss@0.4": oracle.hamming_loss(target, score >= 0.4),
        "roc_auc_macro": auc.mean(),
    }
    assert {name: overall[name] for name in expected} == pytest.approx(expected, abs=TOLERANCE)


def test_the_map_is_scikit_learns_over_the_genres_that_some_video_has() -> None:
    target, score = data(6)
    some = target.any(axis=0)
    expected = oracle.average_precision_score(target[:, some], score[:, some], average="macro")
    assert mean_average_precision(target, score) == pytest.approx(expected, abs=TOLERANCE)
    assert not some.all() and expected > average_precision(target, score)
    assert np.isnan(mean_average_precision(np.zeros_like(target), score))


@pytest.mark.parametrize("digits", [1, 9])
def test_weights_are_how_often_a_video_counts(digits: int) -> None:
    """Each column of weights gives what the same videos, repeated so often, give."""
    target, score = data(5, digits=digits)
    weights = np.random.default_rng(0).multinomial(50, np.full(50, 1 / 50), size=3).T.astype(float)
    overall, by_genre = Measures(target, score).figures(weights)
    for resample in range(3):
        rows = np.repeat(np.arange(50), weights[:, resample].astype(int))
        alone, alone_by_genre = figures(target[rows], score[rows])
        assert {name: values[resample] for name, values in overall.items()} == pytest.approx(alone)
        for name, values in by_genre.items():
            np.testing.assert_allclose(values[:, resample], alone_by_genre[name], err_msg=name)


def test_precision_where_a_recall_is_first_reached() -> None:
    target, score = data(3)
    ranking = Measures(target, score).pooled_ranking
    times = np.random.default_rng(0).integers(0, 3, len(target))
    recalls = np.linspace(0.1, 1, 10)
    found = ranking.precision_at(recalls, times[:, None].astype(float))[:, 0]
    repeated = np.repeat(np.arange(len(target)), times)
    precision, recall, _ = oracle.precision_recall_curve(target[repeated].ravel(), score[repeated].ravel())
    expected = [precision[np.flatnonzero(recall >= wanted - 1e-12)[-1]] for wanted in recalls]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    nothing = Measures(np.zeros((2, 2), bool), np.zeros((2, 2))).pooled_ranking
    assert np.isnan(nothing.precision_at(recalls, unit_weights(2))).all()


def test_the_rules_for_what_is_empty() -> None:
    """One genre that no video has, one video without a genre."""
    target = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    score = np.array([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.2, 0.2, 0.0]])
    overall, by_genre = figures(target, score)
    assert by_genre["ap"].tolist() == [1, 1, 0]
    assert overall["ap_macro"] == pytest.approx(2 / 3)
    assert overall["ap_macro_nonempty"] == overall["ap_weighted"] == 1
    assert overall["ap_samples"] == pytest.approx(2 / 3)
    assert overall["lrap"] == 1
    assert overall["ranking_loss"] == 0
    assert overall["f1_macro@0.5"] == pytest.approx(2 / 3)
    nothing, _ = figures(np.zeros((2, 2)), np.zeros((2, 2)))
    assert np.isnan([nothing.pop("roc_auc_macro"), nothing.pop("ap_macro_nonempty")]).all()
    assert nothing.pop("lrap") == 1
    assert set(nothing.values()) == {0}


def test_the_curve_is_that_of_scikit_learn() -> None:
    target, score = data(2)
    for ranking, truth, column in zip(Measures(target, score).genre_rankings, target.T, score.T, strict=True):
        recall, precision = ranking.curve()
        if not truth.any():
            assert recall.size == 0
            continue
        expected_precision, expected_recall, _ = oracle.precision_recall_curve(truth, column)
        np.testing.assert_allclose(recall, expected_recall[-2::-1])
        np.testing.assert_allclose(precision, expected_precision[-2::-1])


@pytest.mark.parametrize(
    ("target", "score", "message"),
    [
        ([[1, 0]], [[0.5]], r"shape \(1, 2\) and scores \(1, 1\)"),
        ([1, 0], [0.5, 0.1], "give both as"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "at least one video"),
        ([[1, 2]], [[0.5, 0.1]], "other values than 0 and 1"),
        ([[1, 0], [1, 0]], [[0.5, np.nan], [0.1, 0.2]], "the scores of 1 of 2 videos are NaN"),
    ],
)
def test_what_cannot_be_measured_is_refused(target: Any, score: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Measures(target, score)


def test_an_unknown_average_is_refused() -> None:
    with pytest.raises(DataError, match=r"'sample'.*micro, macro, weighted, samples"):
        average_precision([[1]], [[1.0]], average="sample")  # type: ignore[arg-type]
