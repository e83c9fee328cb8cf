"""A paper's tables on a store: every cell of the grid trained by :func:`train.runs.fit.fit`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.errors import UsageError
from extract.options import checked, convert
from extract.presets import Options, merged
from pipeline.storage.location import Location, location
from pipeline.store.layout import open_store
from train.comparison.compare import compare
from train.comparison.config import STEPS, CompareConfig
from train.comparison.paper import DEFAULT_PAPER, Cell, load_paper
from train.errors import DataError
from train.evaluation.evaluate import read_predictions
from train.finetuning.fine_learner import FineOptions
from train.finetuning.finetune import FinetuneConfig, finetune
from train.labels.splits import Part
from train.loading.features import FeatureSet
from train.loading.listing import tables_of
from train.log import Log, log_of
from train.runs.config import FitConfig
from train.runs.embeddings import embeddings_of
from train.runs.fit import fit
from train.runs.run_folder import RunFolder
from train.runs.run_store import batches_of
from train.runs.training_data import columns_of, make_steps, options_of
from train.settings import Hardware, choose, hardware_of, only

FINETUNE = "finetune"  # the section of the options of the fine-grained stage


def compare_fits(
    out: Path | str | os.PathLike[str],
    *,
    features: Location | str | os.PathLike[str],
    labels: Path | str | os.PathLike[str],
    paper: str = DEFAULT_PAPER,
    preset: str | None = None,
    experts: Sequence[str] = (),
    models: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    tables: Sequence[str] = (),
    steps: Sequence[int] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    hardware: Hardware | None = None,
    allow_random_weights: bool = False,
    log: Log | None = None,
) -> Path:
    """Train a grid and write its tables (:mod:`train.comparison.compare`); the path of the report.

    Without ``models`` they are the paper's, without ``experts`` those of the paper that the store has, or the
    preset's, or all tables with vectors. An option of ``model`` goes to the models that have it, one of an
    expert to the trainings that see the expert; ``finetune`` is the section of the fine-grained stage.
    """
    log = log_of(log)
    given = merged([convert("options", Mapping[str, Mapping[str, Any]], options or {}, texts=False)])
    finetune = given.pop(FINETUNE, {})
    experts = convert("experts", tuple[str, ...], experts, texts=False)
    named: tuple[str, ...] = convert("models", tuple[str, ...], models, texts=False)
    table: Path = convert("labels", Path, labels, texts=False)
    features = location(features, "features")
    _check_paper(paper, preset=preset, models=named, steps=steps)
    store, missing = _open(features, paper, preset, experts, given, allow_random_weights)
    grid = CompareConfig(
        out=out,  # type: ignore[arg-type]  # the config makes a Path of it, and tuples of the others
        experts=tuple(store.tables),
        models=named or load_paper(paper).models,
        seeds=seeds,  # type: ignore[arg-type]
        tables=tables,  # type: ignore[arg-type]
        steps=steps or STEPS,  # type: ignore[arg-type]
        paper=paper,
        missing=missing,
        data={"features": store.fingerprints, "labels": _content(table), "preset": preset, "options": given},
        finetune=finetune,
    )
    _check_options(grid, given)
    trainer = _Trainer(grid, features, table, preset, given, hardware_of(hardware), allow_random_weights)
    return compare(grid, trainer.fit, embed=trainer.embed, log=log)


@dataclass(frozen=True)
class _Trainer:
    """How the cells of a grid are trained, and what is looked up in their runs."""

    grid: CompareConfig
    features: Location
    labels: Path
    preset: str | None
    options: Options
    hardware: Hardware
    allow_random_weights: bool

    def fit(self, cell: Cell, run: Path) -> object:
        if cell.fine:
            return self._finetune(cell, run)
        mine = _for_model(only(self.options, cell.experts), cell.model)
        choices = choose(
            preset=cell.preset or self.preset,
            model=cell.model,
            experts=cell.experts,
            options=merged([mine, cell.options]),
        )
        config = FitConfig(
            self.features,
            self.labels,
            run,
            choices,
            self.hardware,
            allow_random_weights=self.allow_random_weights,
            videos_of=self.grid.experts,
        )
        return fit(config)

    def _finetune(self, cell: Cell, run: Path) -> object:

        options = {**self.grid.finetune, "seed": cell.seed}
        config = FinetuneConfig(
            self.grid.folder(cell.coarse),
            run,
            checked(FineOptions, options, owner="finetune", prefix=FINETUNE),
            features=self.features,
            hardware=self.hardware,
            allow_random_weights=self.allow_random_weights,
        )
        return finetune(config)

    def embed(self, run: Path, part: Part) -> tuple[Sequence[str], NDArray[np.float32]]:

        folder = RunFolder(run)
        model = folder.load_model()
        ids = read_predictions(folder.predictions_path, split=part).ids
        batches = batches_of(
            folder, model, self.features, ids, allow_random_weights=self.allow_random_weights
        )
        hardware = self.hardware
        return embeddings_of(model, batches, device=hardware.torch_device, precision=hardware.precision)


def _check_paper(
    paper: str, *, preset: str | None, models: Sequence[str], steps: Sequence[int] | None
) -> None:
    """Raises UsageError for options that a paper has no use for, since its rows name what they train."""
    given = {"--preset": preset, "--models": models, "--steps": steps}
    useless = [flag for flag, value in given.items() if value]
    if useless and not load_paper(paper).models:
        raise UsageError(
            f"{useless[0]} is not an option for {paper}, whose rows name their models and presets: change "
            "them by --set, or leave some out by --tables"
        )


def _open(
    features: Location,
    paper: str,
    preset: str | None,
    experts: Sequence[str],
    options: Options,
    allow_random_weights: bool,
) -> tuple[FeatureSet, tuple[str, ...]]:
    """The tables that are compared, and the paper's experts that the store does not have."""
    store, wanted = open_store(features), load_paper(paper).experts
    missing: tuple[str, ...] = ()
    if wanted and not experts:
        missing = tuple(name for name, tables in tables_of(store, wanted).items() if not tables)
    there = tuple(name for name in wanted if name not in missing)
    if wanted and not experts and not there:
        raise DataError(
            f"{str(features)!r} has none of {', '.join(wanted)}, which {paper} reads: extract one of them, "
            "or name others by --experts"
        )
    base = choose(preset=preset, options=options)
    found = FeatureSet.open(
        store,
        tuple(experts) or there or choose(preset=preset).experts or None,
        columns=columns_of(base.steps),
        allow_random_weights=allow_random_weights,
    )
    make_steps(base.steps, found.tables, optional=base.optional)  # names of no expert are found here
    return found, missing


def _check_options(grid: CompareConfig, options: Options) -> None:
    """Raises UsageError for options that nothing in the grid has, before anything is trained."""
    models = list(dict.fromkeys(cell.model for cell in grid.cells()))
    known = {name for model in models for name in options_of(model)}
    unknown = sorted(set(options.get("model", {})) - known)
    if unknown:
        raise UsageError(f"--set model.{unknown[0]}: none of {', '.join(models)} has such an option")
    checked(FineOptions, grid.finetune, owner="finetune", prefix=FINETUNE)
    if grid.finetune and not any(cell.fine for cell in grid.cells()):
        raise UsageError("--set finetune...: none of the tables fine-tunes")


def _for_model(options: Options, model: str) -> Options:
    """The options of the model's section that this model has, and all of the others."""
    known = options_of(model)
    mine = {name: value for name, value in options.get("model", {}).items() if name in known}
    return {**options, "model": mine}


def _content(path: Path) -> str:
    """A digest of a file: other labels are another grid."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"--labels {path}: {error.strerror}; give a CSV or Parquet table") from error
