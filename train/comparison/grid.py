"""A paper's tables on a store: every cell of the grid trained by :func:`train.runs.fit.fit`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from extract.errors import UsageError
from extract.options import Checked, Positive, Seed, checked
from extract.presets import Options, merged
from pipeline.storage.location import Location, location
from pipeline.store.layout import open_store
from train.comparison.compare import compare, planned
from train.comparison.config import STEPS, CompareConfig
from train.comparison.paper import DEFAULT_PAPER, Cell, load_paper
from train.comparison.store_source import StoreSource
from train.errors import DataError
from train.finetuning.fine_learner import FineOptions
from train.finetuning.finetune import FinetuneConfig, finetune
from train.loading.features import FeatureSet
from train.loading.listing import tables_of
from train.log import Log, log_of
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.runs.training_data import columns_of, make_steps, options_of
from train.runs.typed_options import typed_options, typed_value
from train.runs.workers import Cluster
from train.settings import Choices, Hardware, check_one_place, choose, only

FINETUNE = "finetune"  # the section of the options of the fine-grained stage


@dataclass(frozen=True)
class GridConfig(Checked):
    """What :func:`compare_fits` trains, of what. Raises UsageError for values of another kind.

    Attributes:
        out: folder of the report, new, or existing to resume.
        features: the store.
        labels: a CSV, Parquet or JSON table.
        paper: whose tables; of :func:`train.comparison.paper.paper_names`.
        preset: of the trainings whose rows name none.
        experts: tables of the store; none: those of the paper that the store has, or the preset's, or all
            tables with vectors.
        models: names of models; none: the paper's.
        seeds: one training of every row for each.
        tables: which of the paper's tables to make; none: all.
        steps: for a paper whose rows go through numbers of steps; none: those of
            :data:`train.comparison.config.STEPS`.
        options: by section or expert. An option of ``model`` goes to the models that have it, one of
            an expert to the trainings that see the expert; ``finetune`` is the section of the fine-grained
            stage.
        cluster: where trainings go side by side; with ``gpus`` a process for each GPU.
    """

    out: Path
    features: Location
    labels: Path
    paper: str = DEFAULT_PAPER
    preset: str | None = None
    experts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    seeds: tuple[Seed, ...] = (0, 1, 2)
    tables: tuple[str, ...] = ()
    steps: tuple[Positive, ...] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hardware: Hardware = field(default_factory=Hardware)
    cluster: Cluster = field(default_factory=Cluster)
    allow_random_weights: bool = False

    elsewhere = ("features",)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "features", location(self.features, "features"))
        check_one_place(self.hardware.device, self.cluster.gpus)
        self._check_paper()

    def _check_paper(self) -> None:
        """Raises UsageError for options that a paper has no use for, since its rows name what they train."""
        given = {"--preset": self.preset, "--models": self.models, "--steps": self.steps}
        useless = [flag for flag, value in given.items() if value]
        if useless and not load_paper(self.paper).models:
            raise UsageError(
                f"{useless[0]} is not an option for {self.paper}, whose rows name their models and presets: "
                "change them by --set, or leave some out by --tables"
            )


def compare_fits(config: GridConfig, log: Log | None = None) -> Path:
    """Train a grid and write its tables (:mod:`train.comparison.compare`); the path of the report."""
    grid, trainer = _grid(config)
    return compare(grid, trainer.fit, source=trainer.source, cluster=config.cluster, log=log_of(log))


def planned_fits(config: GridConfig) -> list[tuple[Cell, str]]:
    """The trainings of a grid, and how far each is (:func:`train.comparison.compare.planned`)."""
    return planned(_grid(config)[0])


def _grid(config: GridConfig) -> tuple[CompareConfig, _Trainer]:
    """What is trained, and by what."""
    options = merged([config.options])
    finetune = options.pop(FINETUNE, {})
    paper = load_paper(config.paper)
    store, missing = _open(config, options)
    content = _content(config.labels)
    grid = CompareConfig(
        out=config.out,
        experts=tuple(name for name in store.tables if name not in paper.baselines),
        baselines=tuple(name for name in store.tables if name in paper.baselines),
        models=config.models or paper.models,
        seeds=config.seeds,
        tables=config.tables,
        steps=config.steps or STEPS,
        paper=config.paper,
        missing=missing,
        finetune={name: typed_value(name, value, [FineOptions]) for name, value in finetune.items()},
    )
    _check_options(grid, options)
    data = {
        "features": store.fingerprints,
        "labels": content,
        "preset": config.preset,
        "options": typed_options(options, _models(grid)),
        **({"shared": paper.shared} if paper.shared else {}),
    }
    grid = replace(grid, data=data)
    return grid, _Trainer(config, grid, options)


@dataclass(frozen=True)
class _Trainer:
    """How the cells of a grid are trained, and what is looked up in their runs.

    ``options`` are those of the trainings, without the section of the fine-grained stage.
    """

    config: GridConfig
    grid: CompareConfig
    options: Options

    def fit(self, cell: Cell, run: Path) -> object:
        if cell.fine:
            return self._finetune(cell, run)
        mine = _for_model(only(self.options, cell.experts), cell.model)
        choices = choose(
            preset=cell.preset or self.config.preset,
            model=cell.model,
            experts=cell.experts,
            options=merged([self.grid.shown.shared, mine, cell.options]),
        )
        return fit(self._asked(choices, run))

    def _asked(self, choices: Choices, run: Path) -> FitConfig:
        """All rows are of the same videos: those of which any of the experts has something."""
        return FitConfig(
            self.config.features,
            self.config.labels,
            run,
            choices,
            self.config.hardware,
            allow_random_weights=self.config.allow_random_weights,
            videos_of=(*self.grid.experts, *self.grid.baselines),
        )

    @property
    def source(self) -> StoreSource:
        """The labelled videos are those of a training on all experts."""
        shared = merged([self.grid.shown.shared, only(self.options, ())])
        choices = choose(experts=self.grid.experts, options={**shared, "model": {}})
        return StoreSource(self._asked(choices, self.grid.out))

    def _finetune(self, cell: Cell, run: Path) -> object:
        options = {**self.grid.finetune, "seed": cell.seed}
        config = FinetuneConfig(
            self.grid.folder(cell.coarse),
            run,
            checked(FineOptions, options, owner="finetune", prefix=FINETUNE),
            features=self.config.features,
            hardware=self.config.hardware,
            allow_random_weights=self.config.allow_random_weights,
        )
        return finetune(config)


def _open(config: GridConfig, options: Options) -> tuple[FeatureSet, tuple[str, ...]]:
    """The tables that are compared, and the paper's experts that the store does not have."""
    paper, store = load_paper(config.paper), open_store(config.features)
    known = tables_of(store, (*paper.experts, *paper.baselines))
    there = tuple(name for name, tables in known.items() if tables)
    missing = () if config.experts else tuple(name for name in paper.experts if name not in there)
    if paper.experts and not config.experts and not set(there) & set(paper.experts):
        raise DataError(
            f"{str(config.features)!r} has none of {', '.join(paper.experts)}, which {config.paper} reads: "
            "extract one of them, or name others by --experts"
        )
    base = choose(preset=config.preset, options=options)
    found = FeatureSet.open(
        store,
        config.experts or there or choose(preset=config.preset).experts or None,
        columns=columns_of(base.steps),
        allow_random_weights=config.allow_random_weights,
    )
    make_steps(base.steps, found.tables, optional=base.optional)  # names of no expert are found here
    return found, missing


def _check_options(grid: CompareConfig, options: Options) -> None:
    """Raises UsageError for options that nothing in the grid has, before anything is trained."""
    models = _models(grid)
    known = {name for model in models for name in options_of(model)}
    unknown = sorted(set(options.get("model", {})) - known)
    if unknown:
        raise UsageError(f"--set model.{unknown[0]}: none of {', '.join(models)} has such an option")
    checked(FineOptions, grid.finetune, owner="finetune", prefix=FINETUNE)
    if grid.finetune and not any(cell.fine for cell in grid.cells()):
        raise UsageError("--set finetune...: none of the tables fine-tunes")


def _models(grid: CompareConfig) -> list[str]:
    return list(dict.fromkeys(cell.model for cell in grid.cells()))


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
