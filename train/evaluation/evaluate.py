"""Predictions to figures: every metric with its interval and what chance scores, per genre, and as curves."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from extract.errors import did_you_mean
from pipeline.storage.atomic import atomic
from pipeline.storage.csv_cells import write_csv
from train.errors import DataError
from train.evaluation import curves
from train.evaluation.baseline import frequency_scores, random_figures
from train.evaluation.bootstrap import interval, replicates
from train.evaluation.figures import Evaluation, Figure, Predictions, Scoring
from train.evaluation.metrics import Measures, unit_weights


def evaluate(predictions: Predictions, scoring: Scoring | None = None) -> Evaluation:
    """All figures of some predictions. Raises DataError for scores that cannot be ordered."""
    scoring = scoring or Scoring()
    measures = Measures(predictions.target, predictions.score, thresholds=scoring.thresholds)
    target = measures.target
    if len(predictions.genres) != target.shape[1]:
        raise DataError(
            f"{len(predictions.genres)} names for {target.shape[1]} genres; name every genre once"
        )
    ones = unit_weights(len(target))
    values = measures.figures(ones)
    random = random_figures(target, scoring.thresholds)
    frequency = Measures(target, frequency_scores(target), thresholds=scoring.thresholds).figures(ones)
    drawn = replicates(measures, resamples=scoring.resamples, seed=scoring.seed, groups=predictions.groups)
    figures, by_genre = {}, {}
    for name, of_all in values[0].items():
        most = float(len(predictions.genres)) if name == "coverage_error" else 1.0
        low, high = interval(of_all[0], drawn[0][name], confidence=scoring.confidence, bounds=(0, most))
        known = (of_all[0], low, high, random[0][name], frequency[0][name][0])
        figures[name] = Figure(*map(float, known))
    for name, of_each in values[1].items():
        low, high = interval(of_each[:, 0], drawn[1][name], confidence=scoring.confidence)
        columns = (of_each[:, 0], low, high, random[1][name], frequency[1][name][:, 0])
        by_genre[name] = tuple(Figure(*map(float, row)) for row in zip(*columns, strict=True))
    return Evaluation(
        genres=predictions.genres,
        support=tuple(int(count) for count in target.sum(axis=0)),
        videos=len(target),
        groups=None if predictions.groups is None else len(set(predictions.groups)),
        scoring=scoring,
        figures=figures,
        by_genre=by_genre,
        replicates=drawn[0],
        pooled_curve=measures.pooled_ranking.curve(),
        curves=tuple(ranking.curve() for ranking in measures.genre_rankings),
    )


def evaluate_run(run: Path, *, split: str = "test", scoring: Scoring | None = None) -> Evaluation:
    """Measure what a run predicted of a split, and write the figures into the run's folder.

    ``metrics.json``, ``per_genre.csv``, ``bootstrap.npz`` (every figure of every resample) and
    ``curves/*.svg``; those of another split than ``test`` have its name: ``metrics-validation.json``.
    """
    evaluation = evaluate(read_predictions(run / "predictions.parquet", split=split), scoring)
    paths = RunFiles.of(run, split)
    with atomic(paths.genres, below=run) as path, path.open("w", newline="", encoding="utf-8") as file:
        header, *rows = genre_rows(evaluation)
        write_csv(file, header, rows)
    with atomic(paths.bootstrap, below=run) as path, path.open("wb") as binary:
        np.savez_compressed(binary, allow_pickle=False, **evaluation.replicates)
    for name, picture in (
        ("all", curves.pooled_curve(evaluation)),
        ("genres", curves.genre_curves(evaluation)),
    ):
        with atomic(paths.curves / f"{name}.svg", below=run) as path:
            path.write_bytes(picture)
    with atomic(paths.metrics, below=run) as path:  # the last one: where it stands, the others do
        path.write_text(json.dumps(as_json(evaluation, split), indent=1, ensure_ascii=False) + "\n")
    return evaluation


@dataclass(frozen=True)
class RunFiles:
    """Where the figures of one split of a run are."""

    metrics: Path
    genres: Path
    bootstrap: Path
    curves: Path

    @classmethod
    def of(cls, run: Path, split: str) -> RunFiles:
        mark = "" if split == "test" else f"-{split}"
        return cls(
            metrics=run / f"metrics{mark}.json",
            genres=run / f"per_genre{mark}.csv",
            bootstrap=run / f"bootstrap{mark}.npz",
            curves=run / f"curves{mark}",
        )


def read_predictions(path: Path, *, split: str | None) -> Predictions:
    """The predictions of one split (None: of all) from a run's ``predictions.parquet``. Raises DataError.

    Columns ``video_id``, ``split``, ``target`` and ``score`` (a list of one length each), and ``group`` where
    videos belong together; the names of the genres are JSON in the schema's metadata.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        genres = tuple(json.loads(table.schema.metadata[b"genres"]))
        splits = table.column("split")
        chosen = table if split is None else table.filter(pc.equal(splits, split))
        ids = tuple(chosen.column("video_id").to_pylist())
        cells = [
            np.asarray(chosen.column(name).combine_chunks().flatten()).reshape(len(ids), len(genres))
            for name in ("target", "score")
        ]
        groups = tuple(chosen.column("group").to_pylist()) if "group" in chosen.column_names else None
    except FileNotFoundError:
        raise DataError(
            f"there is no {str(path)!r}; give the folder of a run that has been trained"
        ) from None
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"cannot read the predictions in {str(path)!r}: {error}; train the run again"
        ) from error
    if not ids:
        known = sorted(set(splits.to_pylist()))
        raise DataError(
            f"{str(path)!r} has no video of the split {split!r}; it has {', '.join(known) or 'none'}"
            f"{did_you_mean(split, known)}"
        )
    parts = tuple(chosen.column("split").to_pylist())
    return Predictions(ids, genres, cells[0], cells[1].astype(np.float64), groups, parts)


def genre_rows(evaluation: Evaluation) -> list[list[Any]]:
    """A table with a line for each genre: each figure, its interval, and what the random classifier has."""
    heading: list[Any] = ["genre", "videos", "share"]
    for name in evaluation.by_genre:
        heading += [name, f"{name}_low", f"{name}_high", f"{name}_random"]
    rows = [heading]
    for place, (genre, count) in enumerate(zip(evaluation.genres, evaluation.support, strict=True)):
        row: list[Any] = [genre, count, count / evaluation.videos]
        for figures in evaluation.by_genre.values():
            figure = figures[place]
            known = (figure.value, figure.low, figure.high, figure.random)
            row += ["" if math.isnan(value) else value for value in known]
        rows.append(row)
    return rows


def as_json(evaluation: Evaluation, split: str) -> dict[str, Any]:
    """What ``metrics.json`` holds; a figure that has no value is null."""

    def plain(figure: Figure) -> dict[str, float | None]:
        return {key: None if math.isnan(value) else value for key, value in asdict(figure).items()}

    return {
        "split": split,
        "videos": evaluation.videos,
        "groups": evaluation.groups,
        "scoring": asdict(evaluation.scoring),
        "empty_genres": list(evaluation.empty_genres),
        "figures": {name: plain(figure) for name, figure in evaluation.figures.items()},
        "per_genre": {
            genre: {"videos": evaluation.support[place]}
            | {name: plain(figures[place]) for name, figures in evaluation.by_genre.items()}
            for place, genre in enumerate(evaluation.genres)
        },
    }
