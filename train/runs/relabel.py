"""Label augmentation: the genres that a model sees in a video are added to its label, or replace it.

Fish et al. 2021 (section 4.5) let the fine-tuned network label trailers anew, by all genres that are scored
0.3 or more: in two of the ten films of their Table 4 genres of the old label are gone. That is ``replace``.
Only to add is ours: genre labels are weak ones, which name some of a film's genres and seldom a wrong one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.errors import UsageError, count
from pipeline.storage.atomic import atomic
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.names import check_suffix
from train.evaluation.evaluate import read_predictions
from train.evaluation.figures import Predictions
from train.runs.run_folder import RunFolder

PARTS = ("train", "validation", "test")
SUFFIXES = (".csv", ".parquet")  # of tables that are written


@dataclass(frozen=True)
class Relabelled:
    """``before`` and ``after``: (videos, genres) bool, the old labels and the new; ``score``: the model's."""

    predictions: Predictions
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    score: NDArray[np.float64]

    @property
    def added(self) -> NDArray[np.bool_]:
        return self.after & ~self.before

    @property
    def removed(self) -> NDArray[np.bool_]:
        return self.before & ~self.after

    def counts(self) -> list[tuple[str, int, int, int, int]]:
        """Of each genre: its name, videos before, added, removed, after; the most common first."""
        matrices = (self.before, self.added, self.removed, self.after)
        columns = [matrix.sum(axis=0).tolist() for matrix in matrices]
        rows = list(zip(self.predictions.genres, *columns, strict=True))
        return sorted(rows, key=lambda row: (-row[1], row[0]))

    def summary(self) -> str:
        """One line: how many videos got and lost how many genres, and what that forbids."""
        videos, genres = int(self.added.any(axis=1).sum()), int(self.added.sum())
        said = f"{videos} of {count(len(self.added), 'video')} got {count(genres, 'more genre')}"
        if self.removed.any():
            said += f", {int(self.removed.any(axis=1).sum())} lost {int(self.removed.sum())}"
        tested = np.array(self.predictions.splits) == "test"
        if (self.added | self.removed)[tested].any():
            said += (
                "; those of the test split are no longer ground truth (--parts train,validation leaves them "
                "out)"
            )
        return said

    def write(self, path: Path) -> None:
        """A row for each video, as CSV or Parquet by the suffix. `--labels` reads it as it is.

        Columns: ``video_id``; ``genres``, the new label, found by its name; ``old_genres``, ``added_genres``,
        ``removed_genres``; ``split``; ``group`` where the run had groups; ``score:GENRE`` for each genre.
        Genres are lists, in CSV written as JSON, so that any name may be in them. Raises UsageError for
        another suffix.
        """
        check_suffix(path, *SUFFIXES)
        columns = self._columns()
        with atomic(path) as temporary:
            if path.suffix == ".parquet":
                import pyarrow as pa
                import pyarrow.parquet as pq

                pq.write_table(pa.table(columns), temporary, compression="zstd")
            else:
                with temporary.open("w", newline="", encoding="utf-8") as file:
                    write_csv(file, columns, zip(*columns.values(), strict=True), digits=6)

    def _columns(self) -> dict[str, Sequence[Any]]:
        of = self.predictions
        columns: dict[str, Sequence[Any]] = {
            "video_id": of.ids,
            "genres": self._names(self.after),
            "old_genres": self._names(self.before),
            "added_genres": self._names(self.added),
            "removed_genres": self._names(self.removed),
            "split": of.splits or (),
        }
        if of.groups is not None:
            columns["group"] = ["" if group.startswith("\0") else group for group in of.groups]  # \0: none
        for place, genre in enumerate(of.genres):
            columns[f"score:{genre}"] = self.score[:, place].tolist()
        return columns

    def _names(self, matrix: NDArray[np.bool_]) -> list[list[str]]:
        return [[self.predictions.genres[place] for place in np.flatnonzero(row)] for row in matrix]


def relabel(
    run: RunFolder | str | os.PathLike[str],
    *,
    threshold: float = 0.3,
    parts: Sequence[str] = PARTS,
    replace: bool = False,
) -> Relabelled:
    """The labels of a run's videos and, added to them, every genre that is scored ``threshold`` or more.

    With ``replace`` these genres are the label; a video without any keeps its old one. One of none of these
    ``parts`` of the split keeps its label too. Raises UsageError for what cannot be asked, DataError where
    the run has no predictions.
    """
    run = RunFolder.of(run)
    if not 0 <= threshold <= 1:
        raise UsageError(f"--threshold is {threshold}; a score is from 0 to 1")
    wrong = [part for part in parts if part not in PARTS]
    if wrong or not parts:
        raise UsageError(f"--parts names {wrong[0] if wrong else 'none'!r}; there are {', '.join(PARTS)}")
    run.config()
    predictions = read_predictions(run.predictions_path, split=None)
    before = np.asarray(predictions.target, bool)
    score = np.asarray(predictions.score, np.float64)
    seen = (score >= threshold) & np.isin(predictions.splits or (), list(parts))[:, None]
    kept = before & ~seen.any(axis=1, keepdims=True) if replace else before
    return Relabelled(predictions, before, kept | seen, score)
