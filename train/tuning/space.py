"""What a search tries: options with ranges or lists of values, as ``--try`` names them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from extract.errors import UsageError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

EXAMPLES = "training.learning_rate=1e-5..1e-3:log, model.layers=1..4 or model.dropout=0.1,0.3,0.5"


@dataclass(frozen=True)
class ValueRange:
    """From ``low`` to ``high``, both included; ``log``: even in the logarithm; ``whole`` numbers alone."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)


@dataclass(frozen=True)
class ValueList:
    """Some values, as ``--set`` would be given them."""

    values: tuple[str, ...]

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)


Space = Mapping[str, ValueRange | ValueList]


def parse_space(texts: Sequence[str]) -> dict[str, ValueRange | ValueList]:
    """Option -> what is tried, from ``SECTION.OPTION=VALUES``. Raises UsageError."""
    space: dict[str, ValueRange | ValueList] = {}
    for text in texts:
        name, is_given, values = text.partition("=")
        if not is_given or "." not in name or not values.strip():
            raise UsageError(f"--try {text!r}: give an option and what to try, such as {EXAMPLES}")
        if name in space:
            raise UsageError(f"--try {name} is given twice: give it once, with all values")
        space[name.strip()] = _values(text, values.strip())
    if not space:
        raise UsageError(f"nothing to try: give --try, such as {EXAMPLES}")
    return space


def points(space: Space) -> list[dict[str, str]]:
    """All combinations of the lists of a space. Raises UsageError for a range, which has no end of values."""
    lists: dict[str, tuple[str, ...]] = {}
    for name, values in space.items():
        if isinstance(values, ValueRange):
            raise UsageError(
                f"--try {name}: a grid needs a list of values, such as {name}=0.1,0.2; got a range"
            )
        lists[name] = values.values
    return [dict(zip(lists, each, strict=True)) for each in itertools.product(*lists.values())]


def _values(text: str, values: str) -> ValueRange | ValueList:
    ends, _, scale = values.partition(":")
    low, is_range, high = ends.partition("..")
    if not is_range:
        listed = tuple(part.strip() for part in values.split(",") if part.strip())
        if len(set(listed)) < max(len(listed), 1):
            raise UsageError(f"--try {text!r}: give each value once")
        return ValueList(listed)
    try:
        first, last = float(low), float(high)
    except ValueError:
        raise UsageError(f"--try {text!r}: a range needs two numbers, such as {EXAMPLES}") from None
    if scale not in ("", "log"):
        raise UsageError(f"--try {text!r}: a range ends in nothing or in :log, not in :{scale}")
    if not (math.isfinite(first) and math.isfinite(last) and first < last) or (scale and first <= 0):
        raise UsageError(f"--try {text!r}: the range has to rise{', from above 0' if scale else ''}")
    whole = all(part.strip().lstrip("-").isdigit() for part in (low, high))
    return ValueRange(first, last, log=scale == "log", whole=whole)
