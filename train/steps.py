"""Which steps of an expert a model sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from extract.errors import UsageError

How = Literal["truncate", "equidistant", "random"]


@dataclass(frozen=True)
class Steps:
    """At most ``cap`` steps of a video (None: all), chosen ``how``, and with ``mean`` only their mean.

    - ``truncate``: the first ones.
    - ``equidistant``: the step in the middle of each of ``cap`` equal pieces.
    - ``random``: without replacement, in the order of time; others in every epoch.
    """

    cap: int | None = None
    how: How = "truncate"
    mean: bool = False

    def __post_init__(self) -> None:
        if self.cap is not None and self.cap < 1:
            raise UsageError(f"a cap is {self.cap}; at least 1 step is needed, or no cap")
        if self.how not in get_args(How):
            raise UsageError(f"steps are chosen by {', '.join(get_args(How))}, got {self.how!r}")

    def kept(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many steps are read of videos that have so many."""
        return steps if self.cap is None else np.minimum(steps, self.cap)

    def choose(self, steps: int, *, draw: tuple[int, ...]) -> NDArray[np.int64]:
        """Numbers of the steps that are read, ascending; ``draw`` seeds the random choice."""
        if self.cap is None or steps <= self.cap or self.how == "truncate":
            return np.arange(steps if self.cap is None else min(steps, self.cap))
        if self.how == "equidistant":
            return (2 * np.arange(self.cap) + 1) * steps // (2 * self.cap)
        chosen = np.random.default_rng(draw).choice(steps, self.cap, replace=False, shuffle=False)
        return np.sort(chosen).astype(np.int64)
