"""What an evaluation says: every figure with its interval and what chance scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from numpy.typing import ArrayLike

from extract.options import Checked, Seed
from train.errors import DataError
from train.evaluation.metrics import DEFAULT_THRESHOLDS, Floats

Curve = tuple[Floats, Floats]  # recall and precision, by rising recall


@dataclass(frozen=True)
class Scoring(Checked):
    """How predictions are measured. ``resamples`` 0 leaves the intervals out."""

    thresholds: tuple[float, ...] = DEFAULT_THRESHOLDS
    resamples: int = 1000
    confidence: float = 0.95
    seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        wrong = [threshold for threshold in self.thresholds if not 0 <= threshold <= 1]
        if wrong:
            raise DataError(f"thresholds of {wrong}; scores are probabilities: give thresholds from 0 to 1")
        if self.resamples < 0:
            raise DataError(f"{self.resamples} bootstrap resamples; give 0 for none, or about 1000")
        if not 0 < self.confidence < 1:
            raise DataError(f"a confidence of {self.confidence}; give one between 0 and 1, such as 0.95")


@dataclass(frozen=True)
class Predictions:
    """``target``: (videos, genres) bool, ``score``: (videos, genres) float64, from 0 to 1."""

    ids: tuple[str, ...]
    genres: tuple[str, ...]
    target: ArrayLike
    score: ArrayLike
    groups: tuple[str, ...] | None = None
    splits: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Figure:
    """A value, its bootstrap interval, and what two classifiers that see nothing reach; NaN: no value."""

    value: float
    low: float
    high: float
    random: float
    frequency: float


@dataclass(frozen=True)
class Evaluation:
    """``figures`` are by name, those of ``by_genre`` by name and then in the order of ``genres``.

    ``replicates``: name -> (resamples,), the figure of each bootstrap resample. Evaluations of the same
    videos with the same scoring have the same resamples: differences can be taken resample by resample.
    """

    genres: tuple[str, ...]
    support: tuple[int, ...]
    videos: int
    groups: int | None
    scoring: Scoring
    figures: Mapping[str, Figure]
    by_genre: Mapping[str, tuple[Figure, ...]]
    replicates: Mapping[str, Floats] = field(repr=False, compare=False)
    pooled_curve: Curve = field(repr=False, compare=False)
    curves: tuple[Curve, ...] = field(repr=False, compare=False)

    @property
    def empty_genres(self) -> tuple[str, ...]:
        """Genres that none of the videos has: ``ap_macro`` counts them as 0, the mAP leaves them out."""
        return tuple(genre for genre, count in zip(self.genres, self.support, strict=True) if not count)
