"""Figures of runs by epoch, as their folders have them, over the seeds."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from train.comparison.measured import Measured
from train.evaluation.tables import Estimate


def over_epochs(
    runs: Sequence[Measured], file: str, column: str, confidence: float
) -> list[tuple[float, Estimate]]:
    """A column of a file of each run, by epoch: the mean over the runs that came so far."""
    histories = [_history(_file(run.run, file), column) for run in runs]
    epochs = sorted({epoch for history in histories for epoch in history})
    return [
        (epoch, over_seeds([history[epoch] for history in histories if epoch in history], confidence))
        for epoch in epochs
    ]


def over_seeds(values: Sequence[float], confidence: float) -> Estimate:
    """The mean, with Student's interval of it."""
    from scipy.stats import t

    if len(values) < 2:
        return Estimate(float(np.mean(values)))
    mean, std = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(t.ppf((1 + confidence) / 2, len(values) - 1)) * std / math.sqrt(len(values))
    return Estimate(mean, std, mean - reach, mean + reach)


def _file(run: Path, file: str) -> Path:
    """A run whose one network was trained alone has it in that network's folder."""
    alone = list(run.glob(f"networks/*/{file}"))
    return alone[0] if len(alone) == 1 and not (run / file).exists() else run / file


def _history(path: Path, column: str) -> dict[int, float]:
    """By epoch; empty for a run of an older version, which kept none."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {int(row["epoch"]): float(row[column]) for row in csv.DictReader(file)}
