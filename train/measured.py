"""What a finished run reached, from the files of its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from train.evaluate import Figure, RunFiles, Scoring, evaluate_run
from train.metrics import Floats
from train.run_folder import RunFolder


@dataclass(frozen=True)
class Measured:
    """``seconds``: of the whole training, NaN where unknown; ``parameters``: of the model."""

    videos: int
    figures: Mapping[str, Figure]
    replicates: Mapping[str, Floats]
    seconds: float
    parameters: int | None


def measured(run: Path, scoring: Scoring) -> Measured:
    """The figures of a run; measured anew where its folder has none of this scoring."""
    paths = RunFiles.of(run, "test")
    if not _has(paths, scoring):
        evaluate_run(run, scoring=scoring)
    record = json.loads(paths.metrics.read_text("utf-8"))
    training = json.loads(RunFolder(run).training_path.read_text("utf-8"))
    with np.load(paths.bootstrap) as drawn:
        replicates = dict(drawn)
    figures = {
        name: Figure(**{key: math.nan if value is None else value for key, value in entry.items()})
        for name, entry in record["figures"].items()
    }
    seconds = training.get("seconds")
    return Measured(
        record["videos"],
        figures,
        replicates,
        math.nan if seconds is None else seconds,
        training.get("parameters"),
    )


def _has(paths: RunFiles, scoring: Scoring) -> bool:
    try:
        written = json.loads(paths.metrics.read_text("utf-8"))["scoring"]
        return (
            paths.bootstrap.exists()
            and Scoring(**{**written, "thresholds": tuple(written["thresholds"])}) == scoring
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
