"""Means and deviations of rows that arrive over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Moments:
    """Count, mean and covariance of rows (n, k), accumulated part by part in float64.

    The update of Chan, Golub and LeVeque (1979, "Updating formulae and a pairwise algorithm for
    computing sample variances"): no cancellation of large sums. NaN where there were no rows.
    """

    def __init__(self, columns: int) -> None:
        self.count = 0
        self._mean = np.zeros(columns)
        self._scatter = np.zeros((columns, columns))

    def add(self, rows: NDArray[np.floating]) -> None:
        if not len(rows):
            return
        part = Moments(len(self._mean))
        columns = np.ascontiguousarray(rows.T, np.float64)
        part.count = len(rows)
        part._mean = columns.mean(axis=1)
        centred = columns - part._mean[:, None]
        # einsum, not BLAS: the same bits with any number of threads
        part._scatter = np.einsum("in,jn->ij", centred, centred)
        self.merge(part)

    def merge(self, other: Moments) -> None:
        if not other.count:
            return
        total = self.count + other.count
        delta = other._mean - self._mean
        between = np.outer(delta, delta) * (self.count * other.count / total)
        self._scatter = self._scatter + other._scatter + between
        self._mean = self._mean + delta * (other.count / total)
        self.count = total

    @property
    def mean(self) -> NDArray[np.float64]:
        """(k,)."""
        return self._mean if self.count else np.full_like(self._mean, np.nan)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """(k, k), of the population: divided by n."""
        return self._scatter / self.count if self.count else np.full_like(self._scatter, np.nan)

    @property
    def std(self) -> NDArray[np.float64]:
        """(k,), of the population."""
        return np.sqrt(np.diagonal(self.covariance))


class History:
    """Rows (n, k) with one key each (a frame index or seconds), dropped when they are behind."""

    def __init__(self, columns: int) -> None:
        self._parts: list[tuple[NDArray[np.float64], NDArray[np.float32]]] = []
        self._columns = columns

    def append(self, keys: NDArray[np.number], rows: NDArray[np.floating]) -> None:
        if len(keys):
            self._parts.append((np.asarray(keys, np.float64), np.asarray(rows, np.float32)))

    def between(self, start: float, end: float) -> NDArray[np.float32]:
        """The rows with ``start <= key < end``, in order of arrival: (m, k)."""
        chosen = [rows[(keys >= start) & (keys < end)] for keys, rows in self._parts]
        return np.concatenate([np.zeros((0, self._columns), np.float32), *chosen])

    def discard(self, before: float) -> None:
        """Forget the parts whose keys are all below ``before``."""
        self._parts = [part for part in self._parts if part[0].max() >= before]
