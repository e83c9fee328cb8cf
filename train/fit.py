"""One training: from a store and a table of labels to a run folder."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extract.errors import UsageError
from pipeline.location import Location
from pipeline.store import marquee_version
from train.errors import DataError
from train.run_folder import FORMAT, RunFolder, write_predictions
from train.settings import Choices, Hardware, choose, merged, only

if TYPE_CHECKING:
    from train.data import Data
    from train.model import Model

Say = Callable[[str], None]

SULUN_2024 = ("multi-transformer", "single-transformer", "mlp")
VERSIONED = ("torch", "lightning", "torchmetrics", "scikit-learn", "numpy", "pyarrow")
# Parts of config.json that may differ between two starts of one run.
_NOT_THE_RUN = ("marquee", "versions", "started", "hardware")


@dataclass(frozen=True)
class FitConfig:
    """What to train on what.

    Attributes:
        videos_of: tables of the store; the videos that have something in one of them are trained on, even
            if the model's own experts, which are among these, found nothing in some. Default: the model's
            experts. Runs that are compared split the same videos.
        wandb: a project of Weights & Biases to log to as well.
    """

    features: Location
    labels: Path
    run: Path
    choices: Choices
    hardware: Hardware = field(default_factory=Hardware)
    allow_random_weights: bool = False
    videos_of: tuple[str, ...] = ()
    wandb: str | None = None


def fit(config: FitConfig, say: Say | None = None) -> RunFolder:
    """Train, keep the best model, predict all labelled videos, measure the test split.

    A run that was killed goes on where it stood; one that is finished is left as it is.

    Raises:
        UsageError: what was asked for cannot be, or the folder holds a run of other settings.
        DataError: labels, split or features that cannot be trained on.
        StoreError: the store cannot be read, or the folder cannot be written.
    """
    from train.data import load

    if say is None or os.environ.get("LOCAL_RANK", "0") != "0":  # one process speaks for all
        say = _silent
    run = RunFolder(config.run)
    check(config)
    data = load(config)
    record = _record(config, data)
    run.create()
    for note in data.notes:
        say(note)
    _check_and_write(run, record)
    if run.finished:
        say(f"{str(run.root)!r} is finished: nothing to do")
        return run
    if run.last_checkpoint.exists():
        say(f"going on from {str(run.last_checkpoint)!r}")
    trained = _train(config, data, run, say)
    if trained is None:
        return run
    model, outcome = trained
    run.save_model(model)
    _predict(config, data, run, model)
    _evaluate(run, data, say)
    run.write_json(run.training_path, outcome)
    return run


def _silent(text: str) -> None:
    pass


def check(config: FitConfig) -> None:
    """What is wrong whatever the data: the model, its options, the device. Raises UsageError."""
    from train.registry import model_options

    model_options(config.choices.model, config.choices.model_options)
    assert config.hardware.trainer


def compare_fits(
    out: Path,
    *,
    features: Location,
    labels: Path,
    preset: str | None = None,
    experts: Sequence[str] = (),
    models: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    hardware: Hardware | None = None,
    allow_random_weights: bool = False,
    say: Say | None = None,
    **chosen: Any,
) -> Path:
    """Train a grid with :func:`fit` and write its tables (:mod:`train.compare`); the path of the report.

    ``chosen`` are further fields of CompareConfig: ``seeds``, ``tables``, ``steps``. Without ``models``
    they are those of Sulun et al. 2024, without ``experts`` the preset's or all tables with vectors.
    """
    from train.compare import Cell, CompareConfig, compare
    from train.data import make_steps
    from train.features import FeatureSet

    named = tuple(experts) or choose(preset=preset).experts or None
    store = FeatureSet.open(features, named, allow_random_weights=allow_random_weights)
    base = choose(preset=preset, options=options)
    make_steps(base.steps, store.tables, optional=base.optional)  # names of no expert are found here
    grid = CompareConfig(
        out=out,
        experts=tuple(store.tables),
        models=tuple(models) or SULUN_2024,
        data={
            "features": store.fingerprints,
            "labels": _content(labels),
            "preset": preset,
            "options": merged([options or {}]),
        },
        **chosen,
    )

    def train_cell(cell: Cell, run: Path) -> object:
        choices = choose(
            preset=preset,
            model=cell.model,
            experts=cell.experts,
            options=merged([only(options or {}, cell.experts), cell.options]),
        )
        return fit(
            FitConfig(
                features,
                labels,
                run,
                choices,
                hardware or Hardware(),
                allow_random_weights=allow_random_weights,
                videos_of=tuple(store.tables),
            )
        )

    return compare(grid, train_cell, say=say or _silent)


def _content(path: Path) -> str:
    """A digest of a file: other labels are another grid."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"--labels {path}: {error.strerror}; give a CSV or Parquet table") from error


def _train(config: FitConfig, data: Data, run: RunFolder, say: Say) -> tuple[Model, dict[str, Any]] | None:
    import torch

    from train.loop import train
    from train.module import GenreModule, positive_weights
    from train.registry import make_model

    training = config.choices.training
    torch.manual_seed(training.seed)
    model = make_model(config.choices.model, data.inputs, len(data.genres), data.model_options)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    say(
        f"{config.choices.model}: {parameters:,} parameters; {', '.join(data.inputs)}; "
        f"{len(data.split.train)} videos to train on, {len(data.split.validation)} to validate, "
        f"{len(data.split.test)} to test"
    )
    data.normalisation(run.normalisation_path)
    trained = train(
        GenreModule(model, training, positive_weights(data.labels.rows(data.split.train), training)),
        lambda rank, ranks: data.batches("train", shuffle=True, rank=rank, ranks=ranks),
        data.batches("validation"),
        run=run,
        hardware=config.hardware,
        say=say,
        wandb=config.wandb,
    )
    return None if trained is None else (model, asdict(trained) | {"parameters": parameters})


def _predict(config: FitConfig, data: Data, run: RunFolder, model: Model) -> None:
    """Scores of every labelled video, by split and id."""
    import numpy as np

    from train.scores import scores_of

    ids: list[str] = []
    splits: list[str] = []
    scores = []
    for part, members in data.split.parts().items():
        if members:
            names, values = scores_of(
                model,
                data.batches(part),
                device=config.hardware.torch_device,
                precision=config.hardware.precision,
            )
            ids += names
            splits += [part] * len(names)
            scores.append(values)
    groups = data.labels.groups
    write_predictions(
        run.predictions_path,
        data.genres,
        ids=ids,
        splits=splits,
        targets=data.labels.rows(ids),
        scores=np.concatenate(scores),
        groups=None if groups is None else _picked(data.labels.ids, groups, ids),
    )


def _picked(ids: Sequence[str], values: Sequence[str], chosen: Sequence[str]) -> list[str]:
    of = dict(zip(ids, values, strict=True))
    return [of[name] for name in chosen]


def _evaluate(run: RunFolder, data: Data, say: Say) -> None:
    """Figures of the test split, if there is one."""
    from train.evaluate import evaluate_run

    if not data.split.test:
        say("the split has no test videos: no figures")
        return
    figure = evaluate_run(run.root).figures["ap_macro"]
    say(
        f"test mAP {figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f}), "
        f"a random classifier has {figure.random:.4f}"
    )


def _record(config: FitConfig, data: Data) -> dict[str, Any]:
    """``config.json``: all that the run depends on, and what a prediction needs."""
    choices = config.choices
    return {
        "format": FORMAT,
        "marquee": marquee_version(),
        "versions": {"python": sys.version.split()[0], **_versions()},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": asdict(config.hardware),
        "features": str(config.features),
        "labels": str(config.labels),
        "videos_of": list(config.videos_of),
        "model": choices.model,
        "inputs": data.inputs,
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


def _versions() -> dict[str, str]:
    found = {}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _check_and_write(run: RunFolder, record: Mapping[str, Any]) -> None:
    """Raises UsageError where the folder holds a run of other settings."""
    import json

    wanted = json.loads(json.dumps(record))
    if not run.config_path.exists():
        run.write_json(run.config_path, wanted)
        return
    there = run.config()
    different = _differences(
        {key: value for key, value in there.items() if key not in _NOT_THE_RUN},
        {key: value for key, value in wanted.items() if key not in _NOT_THE_RUN},
    )
    if different:
        name, old, new = different[0]
        raise UsageError(
            f"{str(run.root)!r} holds a run with other settings ({name} was {old}, now {new}"
            f"{f', and {len(different) - 1} more' if len(different) > 1 else ''}): give another --run"
        )


def _differences(old: Any, new: Any, name: str = "") -> list[tuple[str, str, str]]:
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            found += _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
        return found
    return [] if old == new else [(name, _short(old), _short(new))]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
