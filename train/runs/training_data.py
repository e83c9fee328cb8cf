"""What a training reads: features and labels that belong together, split, with the steps of each expert."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from extract.errors import UsageError, count
from extract.options import checked
from extract.presets import merged
from pipeline.store.videos import durations
from train.errors import DataError, of_options
from train.labels.genres import counted
from train.labels.matching import match, video_ids_of
from train.labels.splits import Part, Split, check_genres, split_by_column, split_by_rule, split_from_json
from train.labels.table import LabelColumns, LabelTable, duration_filter, read_labels
from train.loading.features import FeatureSet
from train.loading.normalise import Normalised, Normaliser
from train.loading.steps import Steps
from train.loading.stream import Loader, Stream
from train.registry import model_class, model_options

SHOTS = "scenes"  # the table with a row for each shot

if TYPE_CHECKING:
    from train.runs.config import FitConfig
    from train.settings import Choices, SplitOptions


@dataclass
class TrainingData:
    """Features, labels and split of one training; ``notes`` says in a line each what was left out.

    ``pin``: batches are for a GPU.
    """

    features: FeatureSet
    labels: LabelTable
    split: Split
    steps: Mapping[str, Steps]
    choices: Choices
    notes: tuple[str, ...]
    pin: bool = False
    normaliser: Normaliser | None = None

    @property
    def inputs(self) -> dict[str, int]:
        """Expert -> length of its vectors: what a model is made for."""
        return self.features.dims

    @property
    def genres(self) -> tuple[str, ...]:
        return self.labels.genres

    @property
    def model_options(self) -> dict[str, Any]:
        """The model's options in full.

        One with ``averaged`` is told of experts that are read as means, one with ``crops`` how many rows a
        step has.
        """
        given = dict(self.choices.model_options)
        known = options_of(self.choices.model)
        if "averaged" in known:
            given.setdefault("averaged", [name for name, steps in self.steps.items() if steps.mean])
        if "crops" in known:
            given.setdefault("crops", max(steps.rows for steps in self.steps.values()))
        return asdict(model_options(self.choices.model, given))

    def select(self, experts: Collection[str]) -> TrainingData:
        """The same videos with some of the experts."""
        steps = {name: each for name, each in self.steps.items() if name in experts}
        return replace(self, features=self.features.select(list(experts)), steps=steps)

    def normalisation(self, path: Path) -> None:
        """Fit it on the training split, or take what a killed run had fitted."""
        if not path.exists():
            Normaliser.fit(self._loader(self.split.train, Stream(steps=self.steps))).save(path)
        self.normaliser = Normaliser.load(path)

    def batches(self, part: Part, *, shuffle: bool = False, rank: int = 0, ranks: int = 1) -> Normalised:
        """Batches of a part of the split; of several processes each gets its share of every batch."""
        assert self.normaliser is not None
        training = self.choices.training
        stream = Stream(
            batch_size=-(-training.batch_size // ranks),
            steps=self.steps if shuffle else {name: each.at_test for name, each in self.steps.items()},
            seed=training.seed,
            rank=rank,
            ranks=ranks,
            pin=self.pin,
        )
        return Normalised(self._loader(self.split.parts()[part], stream, shuffle=shuffle), self.normaliser)

    def provenance(self) -> dict[str, dict[str, Any]]:
        """By expert, what the features were made of: those that are read, and what they read from."""
        targets = {target.expert: target for target in self.features.store.targets()}
        read = self.features.read.keys()
        wanted = [name for name, target in targets.items() if set(target.tables) & read]
        for name in wanted:
            wanted += [parent for parent in targets[name].upstream if parent not in wanted]
        return {name: asdict(targets[name]) for name in wanted if name in targets}

    def _loader(self, ids: Sequence[str], stream: Stream, *, shuffle: bool = False) -> Loader:
        labels = self.labels.rows(ids) if len(ids) else None
        return Loader(self.features, ids, stream=stream, labels=labels, shuffle=shuffle)


def load(config: FitConfig) -> TrainingData:
    """Open the store, read the labels, match and split them. Raises DataError, UsageError, StoreError."""
    choices = config.choices
    experts = choices.experts or tuple(model_class(choices.model).suits or ())
    features = FeatureSet.open(
        config.features,
        config.videos_of or experts or None,
        timelines=tuple(
            {*model_class(choices.model).timelines, *([SHOTS] if choices.labels.least_shots else [])}
        ),
        columns=columns_of(choices.steps),
        allow_random_weights=config.allow_random_weights,
    )
    if config.videos_of:
        features = features.select(experts)
    asked = choices.labels
    labels = read_labels(
        config.labels,
        LabelColumns(asked.id, asked.genres, asked.group, asked.duration),
        least_videos=asked.least_videos,
        most_frequent=asked.most_frequent,
    )
    if asked.duration_filter and asked.duration is not None:
        labels = duration_filter(labels)
    matched = match(labels, features.ids)
    if asked.duration_filter and asked.duration is None:
        matched = duration_filter(_with_durations(matched, features))
    if asked.least_shots:
        matched = _of_enough_shots(matched, features, asked.least_shots)
    split = _split(choices.split, labels, matched)
    labels = matched
    if not split.train or not split.validation:
        raise DataError(
            f"the split has {count(len(split.train), 'video')} to train on and {len(split.validation)} to "
            "validate: give more labels of videos in the store, or another split"
        )
    if not choices.split.allow_empty_genres:
        check_genres(split, labels)
    rows = _rows_of_pictures(features) if "crops" in options_of(choices.model) else {}
    steps = make_steps(merged([rows, choices.steps]), features.dims, optional=choices.optional)
    notes = (*features.report(), *labels.notes, *split.notes)
    return TrainingData(features, labels, split, steps, choices, notes, config.hardware.on_gpu)


def _with_durations(labels: LabelTable, features: FeatureSet) -> LabelTable:
    """The same with what the store measured; NaN where it did not."""
    known: dict[str, float] = {}
    for shard in features.store.shards():
        known |= durations(features.store, shard)
    return replace(labels, duration_seconds=np.array([known.get(name, np.nan) for name in labels.ids]))


def _of_enough_shots(labels: LabelTable, features: FeatureSet, least: int) -> LabelTable:
    """Without videos of fewer shots; a store without shots cannot tell, and all of its videos are kept."""
    if SHOTS not in features.read:
        return labels.select(
            np.ones(len(labels.ids), bool),
            f"labels.least_shots={least} has no effect: the store has no table {SHOTS!r}",
        )
    shots = dict(zip(features.ids, features.read[SHOTS].steps.tolist(), strict=True))
    kept = np.array([shots[name] >= least for name in labels.ids], bool)
    what = f"fewer than {count(least, 'shot')}: left out"
    return labels.select(kept, *counted(int((~kept).sum()), "video has", "videos have", what))


def _split(options: SplitOptions, labels: LabelTable, matched: LabelTable) -> Split:
    """Rules split the videos that have features and labels; columns and files speak of the labels' ids."""
    if options.by == "column" or options.by == "file":
        given = split_by_column if options.by == "column" else split_from_json
        return given(labels, str(options.name)).map(video_ids_of(labels.ids, matched.ids))
    return split_by_rule(matched, options.by, fractions=options.fractions, seed=options.seed)


def options_of(model: str) -> Collection[str]:
    """Names of a model's options."""
    names: Collection[str] = model_class(model).Options.__dataclass_fields__
    return names


def _rows_of_pictures(features: FeatureSet) -> dict[str, dict[str, Any]]:
    """Tables of which ten rows are the crops of one picture, as options of their steps."""
    cropped = [t for t in features.store.targets() if t.made_of.get("settings", {}).get("crops") == "ten"]
    return {name: {"rows": 10} for target in cropped for name in target.tables if name in features.tables}


def make_steps(
    given: Mapping[str, Mapping[str, Any]], experts: Iterable[str], *, optional: Collection[str] = ()
) -> dict[str, Steps]:
    """How each expert's steps are chosen. Raises UsageError for experts that are not trained on."""
    names = list(experts)
    strangers = [name for name in given if name not in names and name not in optional]
    if strangers:
        raise UsageError(
            f"options were given for {strangers[0]!r}; the experts are {', '.join(names)}, and the sections "
            "are model, training, labels, split"
        )
    return {name: _steps(name, given.get(name, {})) for name in names}


def columns_of(given: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """What the vectors of each expert are made of, of those for which somebody says so."""
    return {name: _steps(name, options).columns for name, options in given.items() if "columns" in options}


@of_options()
def _steps(name: str, given: Mapping[str, Any]) -> Steps:
    return checked(Steps, given, owner=f"steps of {name!r}", prefix=name)
