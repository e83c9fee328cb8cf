"""Which label belongs to which video of the store."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from extract.errors import count, some
from pipeline.storage.names import without_suffix
from train.errors import DataError
from train.labels.genres import counted
from train.labels.spelling import composed, has_video_suffix
from train.labels.table import LabelTable

_ROUNDED = re.compile(r"\d([.,]\d+)?E\+\d+", re.IGNORECASE)


def match(labels: LabelTable, video_ids: Sequence[str]) -> LabelTable:
    """The labels of videos that have features, under their ``video_id``; ``notes`` counts all others.

    Ids are joined as :func:`video_ids_of` says. Of labels that name one video in several ways the first
    counts, if they agree. Raises DataError where they do not, and where no label is of a video.
    """
    found = video_ids_of(labels.ids, video_ids)
    if not found:
        raise DataError(_no_match(labels, video_ids))
    first: dict[str, int] = {}
    for row, name in enumerate(labels.ids):
        if name not in found:
            continue
        before = first.setdefault(found[name], row)
        if (labels.matrix[before] != labels.matrix[row]).any():
            raise DataError(
                f"{labels.ids[before]!r} and {name!r} are both labels of the video {found[name]!r}, with "
                "different genres: keep one"
            )
    kept = np.zeros(len(labels.ids), bool)
    kept[list(first.values())] = True
    strangers = [name for name in labels.ids if name not in found]
    unlabelled = sorted(set(video_ids) - set(found.values()))
    doubt = _doubt(strangers, video_ids)
    notes = [
        *counted(
            len(strangers),
            "label matches",
            "labels match",
            f"no video with features: left out ({some(strangers)}){doubt}",
        ),
        *counted(
            len(unlabelled),
            "video with features has",
            "videos with features have",
            f"no label: left out ({some(unlabelled)})",
        ),
        *counted(
            len(found) - len(first),
            "label repeats",
            "labels repeat",
            "another of the same video: left out",
        ),
    ]
    chosen = labels.select(kept, *notes)
    return replace(chosen, ids=tuple(found[name] for name in chosen.ids))


def video_ids_of(ids: Sequence[str], video_ids: Iterable[str]) -> dict[str, str]:
    r"""Label id -> video_id: the id itself, or else the only one that is it in one of these ways, in order.

    - in another Unicode form: macOS decomposes file names;
    - with ``\`` for ``/``, as Windows writes paths, and after ``./``;
    - as its last component, the file's name without folders;
    - with the suffix of a video, in any of the ways before.

    Ids stay as they are stored.
    """
    there = list(video_ids)
    known = set(there)
    found = {name: name for name in ids if name in known}
    free = [name for name in there if name not in found]
    whole, last = _only(free, composed), _only(free, _last, of=there)

    def lookup(name: str) -> str | None:
        return whole.get(composed(name)) or last.get(composed(name))

    for name in ids:
        if name in found:
            continue
        place = lookup(name)
        for other in () if place is not None else _other_ways(name):
            place = other if other in known else lookup(other)
            if place is not None:
                break
        if place is not None:
            found[name] = place
    return found


def _other_ways(name: str) -> Iterable[str]:
    path = name.replace("\\", "/").removeprefix("./")
    if path != name:
        yield path
    if has_video_suffix(path):
        yield without_suffix(path)


def _last(video_id: str) -> str:
    return composed(video_id).rpartition("/")[2]


def _only(
    free: Sequence[str], form: Callable[[str], str], *, of: Sequence[str] | None = None
) -> dict[str, str]:
    """By form, those ids that are the only ones of it, of all ``of``."""
    counts = Counter(map(form, free if of is None else of))
    return {key: name for name in free if counts[key := form(name)] == 1}


def _no_match(labels: LabelTable, video_ids: Sequence[str]) -> str:
    what = f"none of {count(len(labels.ids), 'label')} (as {labels.ids[0]!r}) is a video with features"
    what += f" (as {video_ids[0]!r})" if video_ids else ", of which there are none"
    usual = ": give labels whose id is the video_id, or the name of the file without suffix"
    return what + (hints(labels, labels.ids, video_ids, {}) or usual)


def hints(
    labels: LabelTable, strangers: Sequence[str], video_ids: Sequence[str], found: Mapping[str, str]
) -> str:
    """What most likely keeps ``strangers`` from matching, to be appended to a message; empty: not known.

    ``found`` are the labels that match.
    """
    if not found and video_ids:
        column, count = _best_column(labels.columns, video_ids)
        if count:
            return f"; column {column!r} holds {count} of them: name it as the id column (--id-column)"
    return _doubt(strangers, video_ids)


def _doubt(ids: Iterable[str], video_ids: Iterable[str]) -> str:
    """What most likely happened to ids that match nothing; empty: nothing that is known."""
    there = set(video_ids)
    rounded = next(filter(_ROUNDED.fullmatch, ids), None)
    if rounded is not None:
        return f"; {rounded!r} is a number that a spreadsheet has rounded: let it hold the ids as text"
    shorter = {name.lstrip("0"): name for name in there if name.isdecimal()}
    lost = next((shorter[name] for name in ids if name.isdecimal() and name in shorter), None)
    if lost is not None:
        return f"; zeros at the beginning, as of {lost!r}, are lost: write ids as text (pandas: dtype=str)"
    for name in ids:
        if name.endswith(".0") and name[:-2] in there:
            return f"; ids such as {name!r} were once whole numbers: write them so (pandas: dtype=str)"
        last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
        bare = without_suffix(last) if has_video_suffix(last) else last
        if bare != name and bare in there:
            return f"; ids are paths below the videos folder: write {bare!r} for {name!r}"
    forms = Counter(map(composed, there))
    several = next((name for name in ids if forms[composed(name)] > 1), None)
    if several is not None:
        return f"; {several!r} matches several videos that differ only in Unicode form: rename all but one"
    return ""


def _best_column(columns: Mapping[str, Sequence[str]], video_ids: Sequence[str]) -> tuple[str, int]:
    counts = {name: len(video_ids_of(values, video_ids)) for name, values in columns.items()}
    return max(counts.items(), key=lambda entry: entry[1], default=("", 0))
