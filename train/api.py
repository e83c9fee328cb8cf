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
    """Train a model into a run folder, as ``marquee train`` does.

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

    Example:
        >>> import train
        >>> options = {"training": {"epochs": 2, "seed": 1}, "model": {"width": 8}}
        >>> run = train.fit("features", "labels.csv", "runs/first", model="mlp", options=options)
        >>> run.finished
        True
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
    """A paper's tables of many trainings, as ``marquee train compare`` makes them; the path of the report.

    Args:
        out: folder of the trainings and the report, new, or existing to resume.
        features: the feature store; a path, or a URL of object storage.
        labels: a CSV, Parquet or JSON table with ids and genres.
        paper: a name that ``marquee train models`` lists; default: tables of our own.
        preset: of the trainings; default: the paper's own.
        experts: tables of the store; default: all with vectors.
        models: names of models; default: all of the paper.
        seeds: a training of every row for each.
        tables: names of the paper's tables; default: all.
        steps: numbers of steps, for tables that go through them.
        options: as in :func:`fit`.
        device: as in :func:`fit`.
        precision: as in :func:`fit`.
        cluster: where trainings go side by side, ``pipeline.Cluster(gpus="all")`` on this machine's GPUs.
        allow_random_weights: as in :func:`fit`.
        log: as in :func:`fit`.

    Raises:
        MarqueeError: what was asked for cannot be done. Arguments are checked before anything is made.

    Example:
        >>> import train
        >>> options = {"training": {"epochs": 1}, "model": {"width": 8}}
        >>> report = train.compare(
        ...     "compared", "features", "labels.csv",
        ...     tables=["models"], models=["mlp"], seeds=[0], options=options,
        ... )
        >>> report.name
        'report.md'
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
    """Search for good options on the validation split, as ``marquee train search``; the best trial first.

    Args:
        out: folder of the trials, new, or existing to resume.
        features: the feature store; a path, or a URL of object storage.
        labels: a CSV, Parquet or JSON table with ids and genres.
        space: what is tried, ``training.learning_rate=1e-5..1e-3:log`` or ``model.dropout=0.1,0.3``.
        sampler: ``tpe``, ``random`` or ``grid``.
        trials: how many; default: all combinations of a grid, else 20.
        figure: of the validation split, that is to be high.
        seed: of the sampler.
        preset: as in :func:`fit`.
        model: as in :func:`fit`.
        experts: as in :func:`fit`.
        options: as in :func:`fit`.
        device: as in :func:`fit`.
        precision: as in :func:`fit`.
        cluster: as in :func:`compare`.
        allow_random_weights: as in :func:`fit`.
        log: as in :func:`fit`.

    Raises:
        MarqueeError: what was asked for cannot be done. Arguments are checked before anything is made.

    Example:
        >>> import train
        >>> space = ["model.width=4,8"]
        >>> options = {"training": {"epochs": 1}}
        >>> found = train.search(
        ...     "search", "features", "labels.csv", space=space, sampler="grid", model="mlp", options=options
        ... )
        >>> sorted(trial.assignments for trial in found)
        [['model.width=4'], ['model.width=8']]
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
    """The fine-grained stage over a finished run of ``mmx``, as ``marquee train finetune`` does.

    Args:
        run: the finished run.
        out: the new run's folder, or existing to resume.
        features: the store, if it lies elsewhere now.
        options: those of ``--set finetune.OPTION=VALUE``, ``{"epochs": 20}``.
        device: as in :func:`fit`.
        gpus: as in :func:`fit`.
        precision: as in :func:`fit`.
        allow_random_weights: as in :func:`fit`.
        log: as in :func:`fit`.

    Raises:
        MarqueeError: what was asked for cannot be done. Arguments are checked before anything is made.

    Example:
        >>> import train
        >>> options = {"model": {"clips": 1, "width": 8}, "training": {"epochs": 1}}
        >>> coarse = train.fit("features", "labels.csv", "runs/mmx", model="mmx", options=options)
        >>> train.finetune(coarse.root, "runs/fine", options={"epochs": 1, "constant_epochs": 1}).finished
        True
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
