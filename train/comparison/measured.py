"""What a finished run reached, from the files of its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from train.evaluation.bootstrap import replicates
from train.evaluation.evaluate import RunFiles, evaluate_run, read_predictions
from train.evaluation.figures import Figure, Predictions, Scoring
from train.evaluation.metrics import Floats, Measures
from train.labels.splits import Part
from train.runs.run_folder import RunFolder


@dataclass(frozen=True)
class Measured:
    """``seconds``: of the whole training, NaN where unknown; ``parameters``: of the model.

    ``part``: the videos; ``video_seconds``: of reading one's features and classifying it, NaN where unknown.

    ``figures`` and ``replicates`` are of all genres together, ``by_genre`` is genre -> name -> figure and
    ``support`` says how many videos have each genre.
    """

    run: Path
    scoring: Scoring
    videos: int
    figures: Mapping[str, Figure]
    replicates: Mapping[str, Floats]
    seconds: float
    parameters: int | None
    by_genre: Mapping[str, Mapping[str, Figure]]
    support: Mapping[str, int]
    video_seconds: float = math.nan
    part: Part = "test"

    @cached_property
    def predictions(self) -> Predictions:
        """Of the part."""
        return read_predictions(self.run / "predictions.parquet", split=self.part)

    @cached_property
    def genre_replicates(self) -> Mapping[str, Floats]:
        """Figures of each genre in the same resamples, (genres, resamples), as ``predictions`` has them."""
        found = self.predictions
        measures = Measures(found.target, found.score, thresholds=self.scoring.thresholds)
        scoring = self.scoring
        return replicates(measures, resamples=scoring.resamples, seed=scoring.seed, groups=found.groups)[1]


def measured(run: Path, scoring: Scoring, part: Part = "test") -> Measured:
    """The figures of a run; measured again where its folder has none of this scoring."""
    paths = RunFiles.of(run, part)
    if not _has(paths, scoring):
        evaluate_run(run, split=part, scoring=scoring)
    record = json.loads(paths.metrics.read_text("utf-8"))
    training = json.loads(RunFolder(run).training_path.read_text("utf-8"))
    with np.load(paths.bootstrap) as drawn:
        overall = dict(drawn)
    seconds = training.get("seconds")
    genres = record["per_genre"]
    return Measured(
        run=run,
        scoring=scoring,
        videos=record["videos"],
        figures={name: _figure(entry) for name, entry in record["figures"].items()},
        replicates=overall,
        seconds=math.nan if seconds is None else seconds,
        parameters=training.get("parameters"),
        by_genre={
            genre: {name: _figure(entry) for name, entry in entries.items() if name != "videos"}
            for genre, entries in genres.items()
        },
        support={genre: entries["videos"] for genre, entries in genres.items()},
        video_seconds=_video_seconds(training.get("prediction")),
        part=part,
    )


def _video_seconds(entry: Mapping[str, float] | None) -> float:
    return entry["seconds"] / entry["videos"] if entry and entry["videos"] else math.nan


def _figure(entry: Mapping[str, Any]) -> Figure:
    return Figure(**{key: math.nan if value is None else value for key, value in entry.items()})


def _has(paths: RunFiles, scoring: Scoring) -> bool:
    try:
        written = json.loads(paths.metrics.read_text("utf-8"))["scoring"]
        return (
            paths.bootstrap.exists()
            and Scoring(**{**written, "thresholds": tuple(written["thresholds"])}) == scoring
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False
