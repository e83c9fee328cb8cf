"""The space of a trained model as a map: each video where the model puts it, with its genres and scores.

Fish et al. 2021 look at their spaces in this way.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from extract.errors import UsageError, count
from extract.options import Checked, Seed
from pipeline.pages.colours import looks_of
from pipeline.report.posters import posters_of
from pipeline.storage.location import Location
from pipeline.store.layout import Store
from train.errors import DataError
from train.evaluation.evaluate import read_predictions
from train.evaluation.svg import DARK, shortened, svg
from train.labels.matching import match
from train.labels.table import LabelTable
from train.loading.batch import Batch
from train.loading.normalise import Normalised
from train.log import Log, log_of
from train.model import GenreModel
from train.runs.run_folder import RunFolder
from train.runs.run_store import batches_of
from train.runs.scores import outputs_of
from train.settings import Hardware, hardware_of
from train.views.files import csv_bytes, write
from train.views.page import page, rounded
from train.views.pictures import colour_and_mark
from train.views.projection import METHODS, check_methods, project
from train.views.reading import only

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture


Bools = NDArray[np.bool_]
VIDEOS_OF_A_PIECE = 100  # whose pictures a page reads at once


@dataclass(frozen=True)
class MapOptions(Checked):
    """What is shown, and how it is projected.

    Attributes:
        methods: of :data:`train.views.projection.METHODS`.
        neighbours: of :func:`train.views.projection.project`; None: each method's usual number.
        part: of the run's split, alone; None: all videos of the store.
        most_videos: of more, so many are drawn.
        threshold: a video that has no label is shown with the genres that are scored so high.
        seed: of the drawing and the projections.
        pictures: show one of each video, where the store has the table ``thumbnails``.
    """

    methods: tuple[str, ...] = tuple(METHODS)
    neighbours: int | None = None
    part: str | None = None
    most_videos: int = 10_000
    threshold: float = 0.5
    seed: Seed = 0
    pictures: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_methods(self.methods)
        if self.neighbours is not None and self.neighbours < 2:
            raise UsageError(f"--neighbours is {self.neighbours}; at least 2 are needed")
        if self.most_videos < 1:
            raise UsageError(f"--most-videos is {self.most_videos}; at least 1 is needed")


@dataclass(frozen=True)
class VideoMap:
    """Videos with their places, genres and scores.

    ``places``: name of the projection -> (videos, 2), around 0, at most 1 from it. ``scores``: (videos,
    genres). ``matrix``: (videos, genres) bool, what a video is shown to have: its label, or where it is not
    ``labelled`` the genres that the model predicts, with scores from ``threshold`` on. ``about`` is one line
    on what it is a map of. ``pictures``: by id, WebP in base64, of videos that have one.
    """

    title: str
    about: str
    ids: tuple[str, ...]
    genres: tuple[str, ...]
    places: Mapping[str, NDArray[np.float64]]
    scores: NDArray[np.float32]
    matrix: Bools
    labelled: Bools
    threshold: float = 0.5
    pictures: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def likeliest(self) -> NDArray[np.int64]:
        """The number of the genre that stands for each video: the likeliest that it has; -1: it has none."""
        found = np.where(self.matrix, self.scores, -1.0).argmax(axis=1)
        return np.where(self.matrix.any(axis=1), found, -1)

    def by_frequency(self) -> VideoMap:
        """The same, the most common genre first."""
        order = sorted(range(len(self.genres)), key=lambda i: (-int(self.matrix[:, i].sum()), self.genres[i]))
        return replace(
            self,
            genres=tuple(self.genres[i] for i in order),
            scores=self.scores[:, order],
            matrix=self.matrix[:, order],
        )

    def write(self, path: Path) -> None:
        """As a page, a picture or a table: .html, .svg or .csv. Raises UsageError for another suffix."""
        write(path, {".html": self.html, ".svg": lambda: map_picture(self), ".csv": self.csv})

    def html(self) -> bytes:
        genres = [np.flatnonzero(row).tolist() for row in self.matrix]
        data = {
            "about": self.about,
            "names": self.ids,
            "genres": self.genres,
            "positions": {name: places.round(4).T.tolist() for name, places in self.places.items()},
            "labels": [mine if known else None for mine, known in zip(genres, self.labelled, strict=True)],
            "predicted": [None if known else mine for mine, known in zip(genres, self.labelled, strict=True)],
            "scores": rounded(self.scores),
            "threshold": self.threshold,
            "videos_of_a_piece": VIDEOS_OF_A_PIECE,
        }
        return page("map", title=self.title, data=data, pieces=self._pieces())

    def _pieces(self) -> Iterator[list[str | None]]:
        """Pictures of so many videos at a time, so that a page with thousands opens at once."""
        firsts = range(0, len(self.ids), VIDEOS_OF_A_PIECE) if self.pictures else ()
        for first in firsts:
            yield [self.pictures.get(name) for name in self.ids[first : first + VIDEOS_OF_A_PIECE]]

    def csv(self) -> bytes:
        """A row for each video; genres are a JSON list, which `--labels` reads."""
        names = ([self.genres[i] for i in np.flatnonzero(row)] for row in self.matrix)
        columns: dict[str, Sequence[Any]] = {
            "video_id": self.ids,
            "genres": list(names),
            "labelled": self.labelled.tolist(),
        }
        for key, name in METHODS.items():
            if name in self.places:
                x, y = self.places[name].round(6).T.tolist()
                columns |= {f"{key}_x": x, f"{key}_y": y}
        return csv_bytes(columns)


def map_of(
    run: RunFolder | str | os.PathLike[str],
    store: Store | Location | str | os.PathLike[str],
    *,
    labels: LabelTable | None = None,
    options: MapOptions | None = None,
    hardware: Hardware | None = None,
    allow_random_weights: bool = False,
    log: Log | None = None,
) -> VideoMap:
    """The map of a store's videos in the space of a run.

    ``labels`` are of the run's genres; without them those that the run was trained on are shown. Raises
    DataError where the store is not what the run was trained on, and for too few videos.
    """
    run, log = RunFolder.of(run), log_of(log)
    options, hardware = options or MapOptions(), hardware_of(hardware)
    genres = tuple(run.config()["genres"])
    model = run.load_model()
    batches = _chosen(run, model, store, options, allow_random_weights, log)
    ids, vectors, scores = _outputs(model, batches, hardware)
    matrix, labelled = _labels(run, genres, ids, labels)
    predicted = (scores >= options.threshold) | (scores == scores.max(axis=1, keepdims=True))
    places = {}
    for method in options.methods:
        log(f"{METHODS[method]} of {count(len(ids), 'vector')} of {count(vectors.shape[1], 'value')}")
        places[METHODS[method]] = project(vectors, method, neighbours=options.neighbours, seed=options.seed)
    name = run.config()["model"]
    part = f" of the {options.part} split" if options.part else ""
    return VideoMap(
        title=run.root.resolve().name,
        about=(
            f"{count(len(ids), 'video')}{part} where {name} puts them, by vectors of "
            f"{count(vectors.shape[1], 'value')}"
        ),
        ids=ids,
        genres=genres,
        places=places,
        scores=scores,
        matrix=np.where(labelled[:, None], matrix, predicted),
        labelled=labelled,
        threshold=options.threshold,
        pictures=posters_of(batches.loader.samples.features.store, ids) if options.pictures else {},
    ).by_frequency()


def _chosen(
    run: RunFolder,
    model: GenreModel,
    store: Store | Location | str | os.PathLike[str],
    options: MapOptions,
    allow_random_weights: bool,
    log: Log,
) -> Normalised:
    """Batches of the videos that are shown."""
    batches = batches_of(run, model, store, allow_random_weights=allow_random_weights)
    ids = batches.ids
    if options.part is not None:
        wanted = set(read_predictions(run.predictions_path, split=options.part).ids)
        ids = tuple(name for name in ids if name in wanted)
        if not ids:
            raise DataError(f"no video of the store is in the {options.part} split of {str(run.root)!r}")
    if len(ids) > options.most_videos:
        log(f"{count(len(ids), 'video')}: {options.most_videos} of them are shown (--most-videos)")
        drawn = np.random.default_rng(options.seed).choice(len(ids), options.most_videos, replace=False)
        ids = tuple(ids[i] for i in np.sort(drawn))
    return batches if len(ids) == len(batches.ids) else only(batches, ids)


def _outputs(
    model: GenreModel, batches: Normalised, hardware: Hardware
) -> tuple[tuple[str, ...], NDArray[np.float32], NDArray[np.float32]]:
    """Ids, vectors (videos, width) and scores (videos, genres), of one pass over the store."""

    def both(batch: Batch) -> torch.Tensor:
        return torch.cat([model.embed(batch).float(), model(batch).float().sigmoid()], dim=1)

    ids, values = outputs_of(model, batches, both, device=hardware.torch_device, precision=hardware.precision)
    return tuple(ids), values[:, : -model.genres], values[:, -model.genres :]


def _labels(
    run: RunFolder, genres: Sequence[str], ids: Sequence[str], labels: LabelTable | None
) -> tuple[Bools, Bools]:
    """What each video is labelled with, (videos, genres), and whether it is labelled."""
    if labels is not None:
        matched = match(labels, ids)
        known = dict(zip(matched.ids, matched.matrix, strict=True))
    elif run.predictions_path.exists():
        predictions = read_predictions(run.predictions_path, split=None)
        known = dict(zip(predictions.ids, np.asarray(predictions.target, bool), strict=True))
    else:
        known = {}
    none = np.zeros(len(genres), bool)
    matrix = np.array([known.get(name, none) for name in ids], bool).reshape(len(ids), len(genres))
    return matrix, np.array([name in known for name in ids], bool)


_NOWHERE = np.zeros((0, 2))


def map_picture(found: VideoMap) -> bytes:
    """A map for each projection, side by side, with one legend. A video is marked by its likeliest genre."""
    size = min(30.0, max(4.0, 9000 / len(found.ids)))
    high = max(float(np.abs(places[:, 1]).max()) for places in found.places.values()) + 0.05
    columns = {1: 3, 2: 5}.get(len(found.places), 6)

    looks = {-1: None, **dict(enumerate(looks_of(found.genres)))}

    def draw(picture: Picture) -> None:
        maps = picture.subplots(1, len(found.places), squeeze=False)[0]
        for axes, (name, places) in zip(maps, found.places.items(), strict=True):
            # Common ones first, so that rare ones stay in sight.
            for genre in np.unique(found.likeliest).tolist():
                mine, look = found.likeliest == genre, looks[genre]
                _scatter(axes, places[mine & found.labelled], look, size)
                _scatter(axes, places[mine & ~found.labelled], look, size, hollow=True)
            axes.set_title(name, fontsize=10, loc="left", color=DARK)
            axes.set(xticks=[], yticks=[], aspect="equal", xlim=(-1.05, 1.05), ylim=(-high, high))
            axes.spines[:].set_visible(True)
            axes.spines[:].set_color("#dddddd")
        picture.legend(
            handles=_legend(maps[0], found, looks),
            loc="outside lower left",
            ncols=columns,
            fontsize=8,
            handletextpad=0.1,
        )

    rows = math.ceil((len(found.genres) + 2) / columns)
    return svg(draw, (4.6 * len(found.places), 0.5 + 4.4 * high / 1.05 + 0.19 * rows))


def _legend(axes: Any, found: VideoMap, looks: Mapping[int, int | None]) -> list[Any]:
    """A handle for each genre that is there, with its number of videos, and for videos without one."""
    counts = found.matrix.sum(axis=0).tolist()
    names = [f"{shortened(genre, 24)} ({count:,})" for genre, count in zip(found.genres, counts, strict=True)]
    handles = [
        _scatter(axes, _NOWHERE, looks[i], 26, label=name) for i, name in enumerate(names) if counts[i]
    ]
    none = int((found.labelled & (found.likeliest < 0)).sum())
    if none:
        handles.append(_scatter(axes, _NOWHERE, None, 26, label=f"no genre ({none:,})"))
    if not found.labelled.all():
        handles.append(_scatter(axes, _NOWHERE, None, 26, hollow=True, label="no label: predicted"))
    return handles


def _scatter(
    axes: Any, places: Any, look: int | None, size: float, *, hollow: bool = False, **more: Any
) -> Any:
    colour, mark = colour_and_mark(look)
    edge = {"edgecolors": colour, "linewidths": 0.7} if hollow else {"edgecolors": "white", "linewidths": 0.3}
    return axes.scatter(*places.T, s=size, marker=mark, c="white" if hollow else colour, **edge, **more)
