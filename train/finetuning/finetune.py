"""From a trained run to a fine-tuned one: a run folder of the same form, in another space."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from extract.errors import UsageError, count
from extract.options import Checked
from pipeline.storage.atomic import atomic
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.location import Location, location
from train.errors import DataError
from train.evaluation.evaluate import read_predictions
from train.evaluation.figures import Predictions
from train.finetuning.fine_learner import FineLearner, FineOptions, genre_silhouette
from train.labels.splits import Part
from train.layers.sequenced import SequencedModel
from train.loading.features import FeatureSet
from train.loading.normalise import Normalised, Normaliser
from train.loading.stream import Loader, Stream
from train.log import Log, first_process, log_of_this_process
from train.runs.embeddings import embeddings_of
from train.runs.loop import train
from train.runs.run_folder import RunFolder, stamp, write_predictions
from train.runs.run_store import features_of, steps_of
from train.runs.scores import scores_of_parts
from train.settings import Hardware

_PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class FinetuneConfig(Checked):
    """``features``: the store that ``run`` was trained on, if it lies elsewhere now; ``out``: the new run."""

    run: Path
    out: Path
    options: FineOptions
    features: Location | None = None
    hardware: Hardware = field(default_factory=Hardware)
    allow_random_weights: bool = False

    elsewhere = ("features",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features is not None:
            object.__setattr__(self, "features", location(self.features, "features"))


def finetune(config: FinetuneConfig, log: Log | None = None) -> RunFolder:
    """Fine-tune a run's model on its training split; resume in a folder that was begun before.

    The new run has the old one's split and normalisation, ``finetuned_from`` and the options in its
    ``config.json``, and ``silhouette.csv`` with a row for each epoch; 0 is before. Its predictions are those
    of the old genre layers in the new space.

    Raises:
        UsageError: the run is not finished, its model has no sequences, or ``out`` holds another run.
        DataError: the store is not what the run was trained on.
    """
    log = log_of_this_process(log)
    stage = _Stage.open(config, log)
    run = stage.out
    if run.finished:
        log(f"{str(run.root)!r} is finished: nothing to do")
        return run
    if run.last_checkpoint.exists():
        log(f"resuming from {str(run.last_checkpoint)!r}")
    module = stage.train(log)
    if module is None:
        return run
    run.save_model(module.model)
    stage.predict(module.model)
    before, after = (module.history[place]["silhouette"] for place in (0, -1))
    log(f"silhouette of the genres {before:.4f} before, {after:.4f} after")
    run.write_json(run.training_path, {"epochs": config.options.epochs, "history": module.history})
    return run


@dataclass(frozen=True)
class _Stage:
    """What a fine-tuning reads and writes."""

    config: FinetuneConfig
    record: Mapping[str, Any]
    out: RunFolder
    model: SequencedModel
    features: FeatureSet
    known: Predictions

    @classmethod
    def open(cls, config: FinetuneConfig, log: Log) -> _Stage:
        run, out = RunFolder(config.run), RunFolder(config.out)
        model, record = run.load_model(), run.config()
        if not isinstance(model, SequencedModel):
            raise UsageError(
                f"{str(run.root)!r} is of model {record['model']!r}, which has no sequences to contrast: "
                "fine-tune a run of mmx"
            )
        known = read_predictions(run.predictions_path, split=None)
        store = config.features or location(record["features"])
        features = features_of(record, store, allow_random_weights=config.allow_random_weights)
        missing = sorted(set(known.ids) - set(features.ids))
        if missing:
            raise DataError(
                f"{str(store)!r} has nothing of {count(len(missing), 'video')} of the run, e.g. "
                f"{missing[0]!r}: give --features STORE that the run was trained on"
            )
        made = {
            **record,
            **stamp(config.hardware),
            "features": str(store),
            "finetuned_from": str(run.root),
            "finetune": asdict(config.options),
        }
        out.create(flag="--out")
        out.claim(made, flag="--out", log=log)
        if not out.normalisation_path.exists():
            with atomic(out.normalisation_path) as temporary:
                shutil.copyfile(run.normalisation_path, temporary)
        return cls(config, made, out, model, features, known)

    def train(self, log: Log) -> FineLearner | None:
        """None in a process that only helped."""
        options, hardware = self.config.options, self.config.hardware
        ids = {part: self.ids(part) for part in _PARTS}
        log(
            f"{self.record['model']}: {count(len(ids['train']), 'video')} to contrast, "
            f"{len(ids['validation'])} to validate"
        )
        genres = dict(zip(self.known.ids, np.asarray(self.known.target, bool), strict=True))
        torch.manual_seed(options.seed)
        module = FineLearner(self.model, options, genres, self.write_history)
        if not self.out.last_checkpoint.exists():
            validation = self.batches(ids["validation"])
            found, vectors = embeddings_of(
                self.model, validation, device=hardware.torch_device, precision=hardware.precision
            )
            module.start(genre_silhouette(found, vectors, genres))
        trained = train(
            module,
            lambda rank, ranks: self.batches(ids["train"], shuffle=True, rank=rank, ranks=ranks),
            self.batches(ids["validation"]),
            run=self.out,
            hardware=hardware,
            log=log,
        )
        return None if trained is None else module

    def write_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        if not first_process():
            return
        path, columns = self.out.silhouette_path, list(history[-1])
        with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            write_csv(file, columns, ([row.get(name, "") for name in columns] for row in history))

    def ids(self, part: str) -> list[str]:
        splits = self.known.splits or ()
        return [name for name, its in zip(self.known.ids, splits, strict=True) if its == part]

    def batches(
        self, ids: Sequence[str], *, shuffle: bool = False, rank: int = 0, ranks: int = 1
    ) -> Normalised:

        options = self.config.options
        steps = steps_of(self.record)
        stream = Stream(
            batch_size=-(-options.batch_size // ranks),
            steps=steps if shuffle else {name: each.at_test for name, each in steps.items()},
            seed=options.seed,
            rank=rank,
            ranks=ranks,
            pin=self.config.hardware.on_gpu,
        )
        loader = Loader(self.features, ids, stream=stream, shuffle=shuffle)
        return Normalised(loader, Normaliser.load(self.out.normalisation_path))

    def predict(self, model: SequencedModel) -> None:

        parts = {part: self.batches(ids) for part in _PARTS if (ids := self.ids(part))}
        hardware = self.config.hardware
        ids, splits, scores = scores_of_parts(
            model, parts, device=hardware.torch_device, precision=hardware.precision
        )
        place = {name: i for i, name in enumerate(self.known.ids)}
        order = [place[name] for name in ids]
        groups = self.known.groups
        write_predictions(
            self.out.predictions_path,
            self.known.genres,
            ids=ids,
            splits=splits,
            targets=np.asarray(self.known.target, bool)[order],
            scores=scores,
            groups=None if groups is None else [groups[i] for i in order],
        )
