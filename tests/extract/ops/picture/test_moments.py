"""Streaming statistics against numpy on all rows at once."""

from __future__ import annotations

import numpy as np
import pytest

from extract.ops.picture.moments import History, Moments


def test_parts_give_the_statistics_of_the_whole() -> None:
    rows = np.random.default_rng(0).normal(1e4, 1.0, (1000, 3)).astype(np.float32)
    moments = Moments(3)
    for part in np.array_split(rows, [1, 1, 40, 700]):
        moments.add(part)
    exact = rows.astype(np.float64)
    assert moments.count == 1000
    np.testing.assert_allclose(moments.mean, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.std, exact.std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(moments.covariance, np.cov(exact.T, bias=True), rtol=1e-7, atol=1e-9)


def test_merging_equals_adding() -> None:
    rows = np.random.default_rng(1).normal(size=(50, 2))
    one, first, second = Moments(2), Moments(2), Moments(2)
    one.add(rows)
    first.add(rows[:20])
    second.add(rows[20:])
    first.merge(second)
    first.merge(Moments(2))
    np.testing.assert_allclose(first.covariance, one.covariance, rtol=1e-12)


def test_nothing_is_nan() -> None:
    empty = Moments(2)
    empty.add(np.zeros((0, 2)))
    assert np.isnan(empty.mean).all() and np.isnan(empty.std).all() and np.isnan(empty.covariance).all()


def test_history_is_half_open_and_forgets_what_is_behind() -> None:
    history = History(1)
    for start in range(0, 12, 4):
        keys = np.arange(start, start + 4)
        history.append(keys, keys[:, None].astype(np.float32))
    assert history.between(3, 9)[:, 0].tolist() == [3, 4, 5, 6, 7, 8]
    history.discard(6)
    assert history.between(6, 9)[:, 0].tolist() == [6, 7, 8]
    assert history.between(0, 4).shape == (0, 1)
    assert history.between(20, 30).shape == (0, 1)


@pytest.mark.parametrize("rows", [1, 2])
def test_few_rows(rows: int) -> None:
    values = np.arange(rows, dtype=np.float64)[:, None]
    moments = Moments(1)
    moments.add(values)
    assert moments.std[0] == values.std()
