"""What Python is offered of the trainer: the command line's training, comparison and fine-tuning."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from extract.options import Precision, arguments_checked, checked
from pipeline.storage.location import Location, location
from train.comparison.grid import GridConfig, compare_fits, planned_fits
from train.comparison.paper import DEFAULT_PAPER, Cell
from train.finetuning import finetune as stage
from train.finetuning.fine_learner import FineOptions
from train.log import Log
from train.runs import fit as training
from train.runs.config import FitConfig
from train.runs.run_folder import RunFolder
from train.runs.workers import Cluster
from train.settings import Hardware, choose
from train.tuning.config import SearchConfig
from train.tuning.search import Tried
from train.tuning.search import search as search_fits

PathLike = str | os.PathLike[str]


@arguments_checked
def fit(
    features: PathLike | Location,
    labels: PathLike,
    run: PathLike,
    *,
    preset: str | None = None,
    model: str | None = None,
    experts: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "auto",
    gpus: str | None = None,
    precision: Precision = "float32",
    allow_random_weights: bool = False,
    wandb: str | None = None,
    log: Log | None = None,
) -> RunFolder:
    """Train a model into a run folder, as ``python -m train`` does.

    Args:
        features: the feature store; a path, or a URL of object storage.
        labels: a CSV, Parquet or JSON table with ids and genres.
        run: the run's folder, new, or existing to resume.
        preset: name of a preset.
        model: name of a model; default: the preset's, or ``multi-transformer``.
        experts: tables of the store; default: the preset's, or all with vectors.
        options: by section or expert, ``{"training": {"epochs": 20}, "clip": {"cap": 100}}``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        gpus: ``all`` or numbers (``0,1``): a process on each.
        precision: of the arithmetic; weights are float32 in any case.
        allow_random_weights: train on features of random weights, for dry runs.
        wandb: a project of Weights & Biases to log to as well.
        log: is called with each line that the command line would show.

    Raises:
        MarqueeError: what was asked for cannot be done. Arguments are checked before anything is made.
    """
    config = FitConfig(
        features=location(features, "features"),
        labels=labels,  # type: ignore[arg-type]  # the config makes a Path of it
        run=run,  # type: ignore[arg-type]
        choices=choose(preset=preset, model=model, experts=experts, options=options),
        hardware=Hardware(device=device, gpus=gpus, precision=precision),
        allow_random_weights=allow_random_weights,
        wandb=wandb,
    )
    return training.fit(config, log)


@arguments_checked
def compare(
    out: PathLike,
    features: PathLike | Location,
    labels: PathLike,
    *,
    paper: str = DEFAULT_PAPER,
    preset: str | None = None,
    experts: Sequence[str] = (),
    models: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    tables: Sequence[str] = (),
    steps: Sequence[int] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "auto",
    precision: Precision = "float32",
    cluster: Cluster = Cluster(),  # noqa: B008  # it is frozen
    allow_random_weights: bool = False,
    log: Log | None = None,
) -> Path:
    """A paper's tables of many trainings, as ``python -m train compare`` makes them; the path of the report.

    ``paper``, ``tables`` and ``models`` are names that ``python -m train models`` lists, none: all of the
    paper. ``seeds``: a training of every row for each. ``steps``: for tables that go through numbers of
    steps. ``cluster``: where trainings go side by side, ``pipeline.Cluster(gpus="all")`` on the GPUs of this
    machine. The others are those of :func:`fit`. Raises MarqueeError, before anything is made.
    """
    config = _grid_config(
        out, features, labels, paper=paper, preset=preset, experts=experts, models=models, seeds=seeds,
        tables=tables, steps=steps, options=options, device=device, precision=precision, cluster=cluster,
        allow_random_weights=allow_random_weights,
    )  # fmt: skip
    return compare_fits(config, log)


def planned(
    out: PathLike,
    features: PathLike | Location,
    labels: PathLike,
    **asked: Any,
) -> list[tuple[Cell, str]]:
    """The trainings that :func:`compare` would need, whose arguments these are: ``done``, ``begun`` or empty.

    Nothing is written. Raises MarqueeError as :func:`compare`.
    """
    return planned_fits(_grid_config(out, features, labels, **asked))


@arguments_checked
def search(
    out: PathLike,
    features: PathLike | Location,
    labels: PathLike,
    *,
    space: Sequence[str],
    sampler: str = "tpe",
    trials: int | None = None,
    figure: str = "ap_macro",
    seed: int = 0,
    preset: str | None = None,
    model: str | None = None,
    experts: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "auto",
    precision: Precision = "float32",
    cluster: Cluster = Cluster(),  # noqa: B008  # it is frozen
    allow_random_weights: bool = False,
    log: Log | None = None,
) -> list[Tried]:
    """Search for good options on the validation split, as ``python -m train search``; the best trial first.

    ``space``: what is tried, ``training.learning_rate=1e-5..1e-3:log`` or ``model.dropout=0.1,0.3``.
    ``sampler``: ``tpe``, ``random`` or ``grid``. ``figure``: of the validation split, that is to be high. The
    others are those of :func:`compare`. Raises MarqueeError.
    """
    config = SearchConfig(
        out=out,  # type: ignore[arg-type]  # the config makes a Path of it, and tuples of the lists
        features=location(features, "features"),
        labels=labels,  # type: ignore[arg-type]
        space=space,  # type: ignore[arg-type]
        preset=preset,
        model=model,
        experts=experts,  # type: ignore[arg-type]
        options={} if options is None else options,
        sampler=sampler,  # type: ignore[arg-type]
        trials=trials,
        figure=figure,
        seed=seed,
        hardware=Hardware(device=device, precision=precision),
        cluster=cluster,
        allow_random_weights=allow_random_weights,
    )
    return search_fits(config, log)


@arguments_checked
def finetune(
    run: PathLike,
    out: PathLike,
    *,
    features: PathLike | Location | None = None,
    options: Mapping[str, Any] | None = None,
    device: str = "auto",
    gpus: str | None = None,
    precision: Precision = "float32",
    allow_random_weights: bool = False,
    log: Log | None = None,
) -> RunFolder:
    """The fine-grained stage over a finished run of ``mmx``, as ``python -m train finetune`` does.

    ``out`` is the new run's folder, ``features`` the store if it lies elsewhere now, ``options`` are those of
    ``--set finetune.OPTION=VALUE``. The others are those of :func:`fit`. Raises MarqueeError.
    """
    config = stage.FinetuneConfig(
        run=run,  # type: ignore[arg-type]  # the config makes a Path of it
        out=out,  # type: ignore[arg-type]
        options=checked(FineOptions, {} if options is None else options, owner="finetune", prefix="finetune"),
        features=None if features is None else location(features, "features"),
        hardware=Hardware(device=device, gpus=gpus, precision=precision),
        allow_random_weights=allow_random_weights,
    )
    return stage.finetune(config, log)


def _grid_config(out: PathLike, features: PathLike | Location, labels: PathLike, **asked: Any) -> GridConfig:
    """What :func:`compare` is asked, checked."""
    hardware = Hardware(**{name: asked.pop(name) for name in ("device", "precision") if name in asked})
    asked["options"] = asked.get("options") or {}
    return GridConfig(out, location(features, "features"), labels, hardware=hardware, **asked)  # type: ignore[arg-type]  # the config makes Paths of them
