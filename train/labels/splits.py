"""Which videos train a model, which choose it, and which judge it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from extract.errors import UsageError, count, some, unknown
from train.errors import DataError
from train.labels.files import decoded
from train.labels.matching import video_ids_of
from train.labels.spelling import folded, is_missing
from train.labels.table import LabelTable

Part = Literal["train", "validation", "test"]
Rule = Literal["sulun", "random", "stratified"]
FRACTIONS = (0.7, 0.1, 0.2)  # Sulun et al. 2024
_NAMES: dict[str, Part] = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}


@dataclass(frozen=True)
class Split:
    """Ids of the three parts, each sorted, none twice; ``notes`` says what was left out, a line each."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ids = [*self.train, *self.validation, *self.test]
        if len(set(ids)) != len(ids):
            twice = next(name for name in sorted(ids) if ids.count(name) > 1)
            raise DataError(f"{twice!r} is in the split twice: every video belongs to one part")

    def parts(self) -> dict[Part, tuple[str, ...]]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def map(self, video_ids: Mapping[str, str], *notes: str) -> Split:
        """The same under other names; videos without one are left out."""
        train, validation, test = (
            tuple(sorted({video_ids[name] for name in ids if name in video_ids}))
            for ids in self.parts().values()
        )
        return Split(train, validation, test, (*self.notes, *notes))


def split_by_rule(
    labels: LabelTable, rule: Rule = "sulun", *, fractions: Sequence[float] = FRACTIONS, seed: int = 0
) -> Split:
    """Shares of the videos for training, validation and test; groups stay together.

    - ``sulun``: ids sorted, the first for training, the next for validation (Sulun et al. 2024; on their
      26,412 ids this gives their published lists).
    - ``random``: shuffled with ``seed``.
    - ``stratified``: each genre in the same shares as far as it goes (iterative stratification, Sechidis et
      al. 2011).

    Groups are ordered by their first id; a part takes whole groups until it has its share of videos.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6 or not fractions[0]:
        raise UsageError(f"the fractions of a split are {tuple(fractions)}; give three that add up to 1")
    units = _units(labels)
    if rule == "stratified":
        return _split(units, _stratified(labels, units, fractions, seed))
    if rule not in get_args(Rule):
        raise unknown("no split rule", rule, get_args(Rule))
    order = list(range(len(units)))
    if rule == "random":
        order = np.random.default_rng(seed).permutation(len(units)).tolist()
    ends = np.cumsum([len(units[i]) for i in order])
    cuts = np.round(np.cumsum(fractions[:2]) * len(labels.ids))
    parts = np.empty(len(units), np.int64)
    parts[order] = np.searchsorted(cuts, ends - 0.5)
    return _split(units, parts)


def split_by_column(labels: LabelTable, column: str) -> Split:
    """A column of the label table that says train, validation or test (or val, trn, ...) for each video."""
    if column not in labels.columns:
        raise unknown("the labels have no column", column, labels.columns, have="they have")
    values = labels.columns[column]
    named = {
        name: folded(value) for name, value in zip(labels.ids, values, strict=True) if not is_missing(value)
    }
    strange = sorted({value for value in named.values() if value not in _NAMES})
    if strange:
        raise DataError(
            f"column {column!r} holds {strange[0]!r}; a split is {', '.join(_NAMES)}, or empty for videos "
            "that are left out"
        )
    lists: dict[Part, list[str]] = {"train": [], "validation": [], "test": []}
    for name, value in named.items():
        lists[_NAMES[value]].append(name)
    return _given(labels, lists, f"column {column!r}")


def split_from_json(labels: LabelTable, path: str | os.PathLike[str]) -> Split:
    """Lists of ids under train, validation and test (or trn, val, tst, ...), as published for MovieNet."""
    try:
        entry = json.loads(decoded(Path(path).read_bytes()))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the split {str(path)!r}: {error}") from error
    except RecursionError:
        raise DataError(f"cannot read the split {str(path)!r}: its brackets are nested too deeply") from None
    keys = list(entry) if isinstance(entry, dict) else []
    parts = {key: _NAMES.get(key.lower()) for key in keys}
    if sorted(map(str, parts.values())) != ["test", "train", "validation"]:
        raise DataError(
            f"{str(path)!r} has the keys {keys}; a split is a dictionary of three lists of ids: train, "
            "validation, test"
        )
    lists = {part: [str(name) for name in entry[key]] for key, part in parts.items() if part}
    return _given(labels, lists, repr(str(path)))


def check_genres(split: Split, labels: LabelTable) -> None:
    """Raises DataError where a part that has videos has none of some genre."""
    for part, ids in split.parts().items():
        if not ids:
            if part == "train":
                raise DataError("the split has no video to train on: give labels of videos in the store")
            continue
        empty = [labels.genres[i] for i in np.flatnonzero(~labels.rows(ids).any(axis=0))]
        if empty:
            raise DataError(
                f"the split leaves {part} ({count(len(ids), 'video')}) without a video of {some(empty)}: "
                "leave rare genres out (--least-videos N), allow it (--allow-empty-genres), or, where it is "
                "another one, take the default, --split stratified"
            )


def _units(labels: LabelTable) -> list[list[str]]:
    """What is moved as one: groups of ids, or single ids; by the first id."""
    if labels.groups is None:
        return [[name] for name in sorted(labels.ids)]
    groups: dict[str, list[str]] = {}
    for name, group in sorted(zip(labels.ids, labels.groups, strict=True)):
        groups.setdefault(group, []).append(name)
    return list(groups.values())


def _split(units: Sequence[Sequence[str]], parts: NDArray[np.int64]) -> Split:
    lists: tuple[list[str], ...] = ([], [], [])
    for unit, part in zip(units, parts.tolist(), strict=True):
        lists[part].extend(unit)
    train, validation, test = (tuple(sorted(ids)) for ids in lists)
    return Split(train, validation, test)


def _stratified(
    labels: LabelTable, units: Sequence[Sequence[str]], fractions: Sequence[float], seed: int
) -> NDArray[np.int64]:
    from iterstrat.ml_stratifiers import IterativeStratification

    numbers = np.repeat(np.arange(len(units)), [len(unit) for unit in units])
    matrix = np.zeros((len(units), len(labels.genres) + 1), bool)
    np.logical_or.at(matrix[:, :-1], numbers, labels.rows([name for unit in units for name in unit]))
    matrix[:, -1] = ~matrix.any(axis=1)  # videos of no genre are shared out too
    random = np.random.RandomState(seed)
    order = random.permutation(len(units))  # ties between parts are rare: the order is what the seed changes
    parts = np.empty(len(units), np.int64)
    parts[order] = IterativeStratification(matrix[order], np.array(fractions, np.float64), random)
    return parts


def _given(labels: LabelTable, lists: Mapping[Part, Iterable[str]], source: str) -> Split:
    """A split from elsewhere, without ids that have no labels; groups must not be torn."""
    asked = {part: list(dict.fromkeys(ids)) for part, ids in lists.items()}
    known = video_ids_of([name for ids in asked.values() for name in ids], labels.ids)
    kept = {
        part: tuple(sorted({known[name] for name in ids if name in known})) for part, ids in asked.items()
    }
    used = sum(map(len, kept.values()))
    notes = []
    unlabelled = sum(name not in known for ids in asked.values() for name in ids)
    if unlabelled:
        notes.append(f"no labels for {count(unlabelled, 'id')} of {source}: left out")
    if len(labels.ids) - used > 0:
        alone = count(len(labels.ids) - used, "labelled video is", "labelled videos are")
        notes.append(f"{alone} in no part of {source}: left out")
    if not used:
        one = next((name for ids in asked.values() for name in ids), None)
        raise DataError(f"no id of {source} is among the labels: it has {one!r}, they have {labels.ids[0]!r}")
    split = Split(kept["train"], kept["validation"], kept["test"], tuple(notes))
    _check_groups(split, labels, source)
    return split


def _check_groups(split: Split, labels: LabelTable, source: str) -> None:
    if labels.groups is None:
        return
    group_of = dict(zip(labels.ids, labels.groups, strict=True))
    where: dict[str, Part] = {}
    for part, ids in split.parts().items():
        for name in ids:
            if where.setdefault(group_of[name], part) != part:
                raise DataError(
                    f"{source} splits group {group_of[name]!r} ({where[group_of[name]]}, {part}): put it "
                    "into one part, or give no group column"
                )
