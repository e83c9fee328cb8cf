"""How a table of labels is understood beside a store's videos, before anything is trained."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.storage.names import without_suffix
from train.labels.matching import hints, video_ids_of
from train.labels.spelling import folded, has_video_suffix
from train.labels.table import LabelTable

MOST_COMPARED = 5000  # names among which one that is spelt almost alike is searched
ALIKE = 0.85  # of difflib's ratio


@dataclass(frozen=True)
class Preview:
    """What would be trained on.

    ``roles``: column -> what it is read as, "not read" for the others. ``genres``: how many labels name each,
    and how many of these have a video. ``matched``: label id -> video_id. ``labels_alone`` and
    ``videos_alone`` are what is left on either side, each with the id of the other side that it resembles, or
    None. ``hint`` is what most likely went wrong, or empty.
    """

    labels: LabelTable
    roles: Mapping[str, str]
    genres: Mapping[str, tuple[int, int]]
    matched: Mapping[str, str]
    labels_alone: Mapping[str, str | None]
    videos_alone: Mapping[str, str | None]
    hint: str


def preview(labels: LabelTable, video_ids: Sequence[str]) -> Preview:
    """Join labels with the ``video_ids`` of a store as a training does (:func:`video_ids_of`)."""
    matched = video_ids_of(labels.ids, video_ids)
    labels_alone = [name for name in labels.ids if name not in matched]
    videos_alone = sorted(set(video_ids) - set(matched.values()))
    has_video = [name in matched for name in labels.ids]
    return Preview(
        labels,
        roles={name: labels.roles.get(name, "not read") for name in labels.columns},
        genres={
            genre: (int(column.sum()), int(column[has_video].sum()))
            for genre, column in zip(labels.genres, labels.matrix.T, strict=True)
        },
        matched=matched,
        labels_alone=near_misses(labels_alone, videos_alone),
        videos_alone=near_misses(videos_alone, labels_alone),
        hint=hints(labels, labels_alone, video_ids, matched),
    )


def near_misses(names: Iterable[str], others: Sequence[str]) -> dict[str, str | None]:
    """For each name the one of ``others`` that differs least, or None.

    Letters and digits alone decide; of few names also which share most of them in order (``difflib``).
    """
    of: dict[str, list[str]] = defaultdict(list)
    for other in others:
        of[_bare(other)].append(other)
    given = list(names)
    few = len(given) * len(of) <= MOST_COMPARED
    found: dict[str, str | None] = {}
    for name in given:
        bare = _bare(name)
        close = [bare] if bare in of else difflib.get_close_matches(bare, of, 1, ALIKE) if few else []
        found[name] = of[close[0]][0] if close else None
    return found


def shared_videos(matched: Mapping[str, str]) -> list[str]:
    """Videos that more than one label names."""
    return sorted(video for video, labels in Counter(matched.values()).items() if labels > 1)


def _bare(name: str) -> str:
    """Letters and digits of the file's name, without case."""
    last = PurePosixPath(name.replace("\\", "/")).name
    bare = without_suffix(last) if has_video_suffix(last) else last
    return "".join(letter for letter in folded(bare) if letter.isalnum())
