"""Which steps of an expert a model sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from extract.errors import UsageError
from extract.options import Checked, Positive

How = Literal["truncate", "equidistant", "random", "stratified"]
EMBEDDING = "embedding"  # the column of a table's vectors


@dataclass(frozen=True)
class Steps(Checked):
    """At most ``cap`` steps of a video (None: all), chosen ``how``, and with ``mean`` only their mean.

    - ``truncate``: the first ones.
    - ``equidistant``: the step in the middle of each of ``cap`` equal pieces.
    - ``random``: without replacement, in the order of time; others in every epoch.
    - ``stratified``: one at random of each of ``cap`` pieces of equal length; others in every epoch.

    Attributes:
        tested: outside of training at most so many steps, equidistant ones; None: as in training.
        whole: outside of training all steps.
        columns: what is read of a step: the table's vectors (``embedding``), columns of numbers, or both,
            side by side in this order.
        rows: of the table that are one step and are read together, such as ten crops of a picture.
    """

    cap: Positive | None = None
    how: How = "truncate"
    mean: bool = False
    tested: Positive | None = None
    whole: bool = False
    columns: tuple[str, ...] = (EMBEDDING,)
    rows: Positive = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.whole and self.tested is not None:
            raise UsageError(f"tested is {self.tested} and whole is true: give one of them")
        if not self.columns or len(set(self.columns)) < len(self.columns):
            raise UsageError(
                f"columns are {', '.join(self.columns) or 'none'}; name at least one, and none twice"
            )

    @property
    def at_test(self) -> Steps:
        """How steps are chosen outside of training."""
        if self.whole:
            return replace(self, cap=None)
        return self if self.tested is None else replace(self, cap=self.tested, how="equidistant")

    def kept(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows are read of videos that have so many."""
        return rows if self.cap is None else np.minimum(rows, self.cap * self.rows)

    def choose(self, rows: int, *, draw: tuple[int, ...]) -> NDArray[np.int64]:
        """Numbers of the rows that are read, ascending; ``draw`` seeds the random choice."""
        chosen = self._steps(-(-rows // self.rows), draw)
        if self.rows == 1:
            return chosen
        places = (chosen[:, None] * self.rows + np.arange(self.rows)).ravel()
        return places[places < rows]

    def _steps(self, steps: int, draw: tuple[int, ...]) -> NDArray[np.int64]:
        if self.cap is None or steps <= self.cap or self.how == "truncate":
            return np.arange(steps if self.cap is None else min(steps, self.cap))
        if self.how == "equidistant":
            return (2 * np.arange(self.cap) + 1) * steps // (2 * self.cap)
        random = np.random.default_rng(draw)
        if self.how == "stratified":
            ends = np.arange(self.cap + 1) * steps // self.cap
            return random.integers(ends[:-1], ends[1:])
        chosen = random.choice(steps, self.cap, replace=False, shuffle=False)
        return np.sort(chosen).astype(np.int64)
