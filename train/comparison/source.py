"""What tables look up beside the files of finished runs: vectors, shots, and the data itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from train.evaluation.metrics import Floats
from train.labels.splits import Part
from train.views.scenes import SceneScores


@dataclass(frozen=True)
class Dataset:
    """The labelled videos of a comparison.

    ``target`` is (videos, genres) bool, ``splits`` has the part of each video. ``frames``: how many all
    videos have together, None where the store does not know. ``years``: year -> videos, empty without them.
    """

    genres: tuple[str, ...]
    target: NDArray[np.bool_]
    splits: tuple[str, ...]
    frames: int | None = None
    years: Mapping[int, int] = field(default_factory=dict)

    def part(self, name: Part) -> NDArray[np.bool_]:
        """Its labels, (videos, genres)."""
        kept: NDArray[np.bool_] = self.target[np.array([split == name for split in self.splits], bool)]
        return kept

    @property
    def by_frequency(self) -> list[int]:
        """Numbers of the genres, the most common first."""
        counts = self.target.sum(axis=0)
        return sorted(range(len(self.genres)), key=lambda genre: (-int(counts[genre]), self.genres[genre]))


class DataSource(Protocol):
    """Where the store and the labels are, as far as tables want to know of them."""

    def embed(self, run: Path, part: Part) -> tuple[Sequence[str], NDArray[np.float32]]:
        """Ids and vectors (videos, width) of a part of a run's videos."""
        ...

    def shots(self, run: Path) -> Callable[[str], SceneScores]:
        """By video_id, what a run says of every shot. Raises DataError for a video without shots."""
        ...

    def dataset(self) -> Dataset:
        """The labelled videos, split as the paper's preset says."""
        ...

    def zero_shot(self, ids: Sequence[str], genres: Sequence[str]) -> Floats | None:
        """Scores (videos, genres) that nothing was trained for; None where the store has none."""
        ...

    def extraction_seconds(self, tables: Sequence[str]) -> float:
        """Seconds of a video to decode it and compute these tables; NaN where the store does not know."""
        ...
