"""One training from end to end: a store and a table of labels to a run folder, with predictions and figures.

The model itself is trained in :mod:`train.runs.train_model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from time import perf_counter
from typing import Any

import torch

from extract.errors import count
from train.dashboards import wandb_package
from train.evaluation.evaluate import evaluate_run
from train.evaluation.metrics import MAP
from train.log import Log, log_of_this_process
from train.model import GenreModel, SolvedModel
from train.registry import make_model, model_options
from train.runs.config import FitConfig
from train.runs.run_folder import RunFolder, stamp, write_predictions
from train.runs.scores import scores_of_parts
from train.runs.train_model import size_of, solve_model, train_model
from train.runs.training_data import TrainingData, load


def fit(config: FitConfig, log: Log | None = None) -> RunFolder:
    """Train, keep the best model, predict all labelled videos, measure the test split.

    A run that was killed resumes where it stood; one that is finished is left unchanged.

    Raises:
        UsageError: what was asked for cannot be, or the folder holds a run of other settings.
        DataError: labels, split or features that cannot be trained on.
        StoreError: the store cannot be read, or the folder cannot be written.
    """
    log = log_of_this_process(log)
    run = RunFolder(config.run)
    check(config)
    data = load(config)
    record = _record(config, data)
    run.create()
    for note in data.notes:
        log(note)
    run.claim(record, log=log)
    if run.finished:
        log(f"{str(run.root)!r} is finished: nothing to do")
        return run
    if run.last_checkpoint.exists():
        log(f"resuming from {str(run.last_checkpoint)!r}")
    trained = _train(config, data, run, log)
    if trained is None:
        return run
    model, outcome = trained
    run.save_model(model)
    predicted = _predict(config, data, run, model)
    _evaluate(run, data, log)
    run.write_json(run.training_path, {**outcome, "prediction": predicted})
    return run


def check(config: FitConfig) -> None:
    """What is wrong whatever the data: the model, its options, the device, a package that is missing.

    Raises UsageError, MissingDependency.
    """
    if config.wandb is not None:
        wandb_package()
    model_options(config.choices.model, config.choices.model_options)
    assert config.hardware.devices


def _train(
    config: FitConfig, data: TrainingData, run: RunFolder, log: Log
) -> tuple[GenreModel, dict[str, Any]] | None:

    torch.manual_seed(config.choices.training.seed)
    model = make_model(config.choices.model, data.inputs, len(data.genres), data.model_options)
    size = "" if isinstance(model, SolvedModel) else f"{size_of(model):,} parameters; "
    log(
        f"{config.choices.model}: {size}{', '.join(data.inputs)}; "
        f"{count(len(data.split.train), 'video')} to train on, {len(data.split.validation)} to validate, "
        f"{len(data.split.test)} to test"
    )
    data.normalisation(run.normalisation_path)
    trained = (
        solve_model(model, data, log)
        if isinstance(model, SolvedModel)
        else train_model(model, data, run, hardware=config.hardware, log=log, wandb=config.wandb)
    )
    return None if trained is None else (model, asdict(trained) | {"parameters": size_of(model)})


def _predict(config: FitConfig, data: TrainingData, run: RunFolder, model: GenreModel) -> dict[str, float]:
    """Scores of every labelled video, by split and id; how many there are, and the seconds that it took."""
    batches = {part: data.batches(part) for part, members in data.split.parts().items() if members}
    hardware = config.hardware
    started = perf_counter()
    ids, splits, scores = scores_of_parts(
        model, batches, device=hardware.torch_device, precision=hardware.precision
    )
    seconds = perf_counter() - started
    groups = data.labels.groups
    write_predictions(
        run.predictions_path,
        data.genres,
        ids=ids,
        splits=splits,
        targets=data.labels.rows(ids),
        scores=scores,
        groups=None if groups is None else _picked(data.labels.ids, groups, ids),
    )
    return {"videos": len(ids), "seconds": seconds}


def _picked(ids: Sequence[str], values: Sequence[str], chosen: Sequence[str]) -> list[str]:
    of = dict(zip(ids, values, strict=True))
    return [of[name] for name in chosen]


def _evaluate(run: RunFolder, data: TrainingData, log: Log) -> None:
    """Figures of the test split, if there is one."""
    if not data.split.test:
        log("the split has no test videos: no figures")
        return
    figure = evaluate_run(run.root).figures[MAP]
    log(
        f"test mAP {figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f}), "
        f"a random classifier has {figure.random:.4f}"
    )


def _record(config: FitConfig, data: TrainingData) -> dict[str, Any]:
    """``config.json``: all that the run depends on, and what a prediction needs."""
    choices = config.choices
    return {
        **stamp(config.hardware),
        "features": str(config.features),
        "labels": str(config.labels),
        "videos_of": list(config.videos_of),
        "model": choices.model,
        "inputs": data.inputs,
        "timelines": list(data.features.timelines),
        "genres": list(data.genres),
        "options": {
            "model": data.model_options,
            "training": asdict(choices.training),
            "labels": asdict(choices.labels),
            "split": asdict(choices.split) | {"fractions": list(choices.split.fractions)},
            "steps": {expert: asdict(steps) for expert, steps in data.steps.items()},
        },
        "split_sizes": {part: len(ids) for part, ids in data.split.parts().items()},
        "experts": data.provenance(),
        "random_weights": list(data.features.random_weights),
    }
