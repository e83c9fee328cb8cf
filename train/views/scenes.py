"""Genres of a video's shots over time: the model applied to each shot as if it were a video.

Fish et al. 2021 show the genres of a trailer's scenes so. A model that classifies sequences of shots has
genres of each sequence, too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from extract.errors import StoreError, UsageError, clock
from extract.tables import timed_rows
from pipeline.pages.colours import looks_of
from pipeline.storage.location import Location
from pipeline.store.layout import Store
from pipeline.store.reading import read
from train.errors import DataError
from train.evaluation.svg import DARK, shortened, svg
from train.labels.matching import video_ids_of
from train.loading.batch import Batch
from train.loading.collate import Video, collate
from train.loading.steps import Steps
from train.loading.stream import Stream
from train.models.mmx import Mmx
from train.runs.predict import Prediction
from train.runs.run_folder import RunFolder
from train.runs.run_store import batches_of
from train.runs.scores import outputs_of, scores_of
from train.settings import Hardware, hardware_of
from train.views.files import csv_bytes, write
from train.views.page import page, rounded
from train.views.pictures import colour_and_mark
from train.views.reading import only

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture


TABLE = "scenes"
PER_SEQUENCE = "fish2021/per-sequence"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SceneScores:
    """``start_seconds``, ``end_seconds``: (shots,). ``scores``: (shots, genres), NaN where no steps are.

    ``whole``: (genres,), the scores of the whole video, as `predict` gives them. ``unit`` names what is
    scored: a ``shot``, or a ``sequence`` of them.
    """

    video_id: str
    genres: tuple[str, ...]
    start_seconds: Floats
    end_seconds: Floats
    scores: NDArray[np.float32]
    whole: NDArray[np.float32]
    about: str = ""
    unit: str = "shot"

    @property
    def known(self) -> NDArray[np.bool_]:
        """(shots,) whether any expert has something in the shot."""
        return np.asarray(~np.isnan(self.scores).any(axis=1), bool)

    def best(self, threshold: float = 0.5) -> list[list[tuple[str, float]]]:
        """The genres of each shot whose score reaches ``threshold``, or the one that comes nearest."""
        found = Prediction((), self.genres, self.scores[self.known]).best(threshold)
        named = iter(found)
        return [next(named) if known else [] for known in self.known]

    def by_score(self) -> SceneScores:
        """The same, the genre first that the whole video has the highest score of."""
        order = sorted(range(len(self.genres)), key=lambda i: (-float(self.whole[i]), self.genres[i]))
        return replace(
            self,
            genres=tuple(self.genres[i] for i in order),
            scores=self.scores[:, order],
            whole=self.whole[order],
        )

    def write(self, path: Path, threshold: float = 0.5) -> None:
        """As a page, a picture or a table: .html, .svg or .csv. Raises UsageError for another suffix."""
        sorted_ = self.by_score()
        write(
            path,
            {
                ".html": lambda: sorted_.html(threshold),
                ".svg": lambda: scenes_picture(sorted_, threshold),
                ".csv": self.csv,
            },
        )

    def html(self, threshold: float = 0.5) -> bytes:
        scores = zip(self.known, rounded(np.nan_to_num(self.scores)), strict=True)
        data = {
            "about": self.about,
            "genres": self.genres,
            "starts": self.start_seconds.round(3).tolist(),
            "ends": self.end_seconds.round(3).tolist(),
            "scores": [row if known else None for known, row in scores],
            "whole": rounded(self.whole[None])[0],
            "threshold": threshold,
            "unit": self.unit,
        }
        return page("scenes", title=self.video_id, data=data)

    def csv(self) -> bytes:
        """A row for each shot, a column for each genre; empty where the shot has nothing."""
        columns: dict[str, Sequence[Any]] = {
            "scene": range(len(self.scores)),
            "start_seconds": self.start_seconds.round(6).tolist(),
            "end_seconds": self.end_seconds.round(6).tolist(),
        }
        for genre, scores in zip(self.genres, self.scores.T.tolist(), strict=True):
            columns[genre] = ["" if np.isnan(score) else f"{score:.6f}" for score in scores]
        return csv_bytes(columns)


class SceneScorer:
    """A trained run beside a store, opened once: the genres of its videos over time.

    ``video_id`` may be the last part of an id, if only one video has it. The methods raise DataError for a
    video that is not there or has no shots.
    """

    def __init__(
        self,
        run: RunFolder | str | os.PathLike[str],
        store: Store | Location | str | os.PathLike[str],
        *,
        hardware: Hardware | None = None,
        allow_random_weights: bool = False,
    ) -> None:
        """Raises DataError for a store that is not what the run reads."""
        run, hardware = RunFolder.of(run), hardware_of(hardware)
        config = run.config()
        self._run = run.root.resolve().name
        self._kind: str = config["model"]
        self._genres: tuple[str, ...] = tuple(config["genres"])
        self._model = run.load_model()
        self._batches = batches_of(run, self._model, store, allow_random_weights=allow_random_weights)
        self._device: dict[str, Any] = {"device": hardware.torch_device, "precision": hardware.precision}

    def shots(self, video_id: str) -> SceneScores:
        """Scores of every shot of a video, from the steps of the shot alone.

        A step belongs to the shot in which it begins; one in a transition, to the shot before. All steps of
        the video are read; an expert's cap, and its mean, are those of a shot.
        """
        video_id, starts, ends = self._found(video_id)
        (whole,) = only(self._batches, [video_id], stream=Stream(batch_size=1))
        pieces = shot_batches(whole, starts, self._batches.loader.stream)
        numbers, scores = scores_of(self._model, pieces, **self._device)
        of_shots = np.full((len(starts), self._model.genres), np.nan, np.float32)
        of_shots[[int(number) for number in numbers]] = scores
        return self._scored(video_id, starts, ends, of_shots, "shot")

    def sequences(self, video_id: str) -> SceneScores:
        """Scores of every sequence of shots, by a run of ``mmx`` that was trained ``per_sequence``.

        A sequence lasts from the beginning of its first shot to the end of its last one. Raises UsageError
        for a run of another kind.
        """
        video_id, starts, ends = self._found(video_id)
        model = self._model
        if not isinstance(model, Mmx):
            raise UsageError(
                f"the run is of {self._kind!r}; sequences are of mmx: train --preset {PER_SEQUENCE}"
            )
        (batch,) = only(self._batches, [video_id])
        (spans,) = model.sequence_seconds(batch).numpy()
        known = np.isfinite(spans[:, 0])

        def scores(batch: Batch) -> Tensor:
            return model.sequence_logits(batch)[0].float().sigmoid()

        _, found = outputs_of(model, [batch], scores, **self._device)
        first, last = (np.maximum(np.searchsorted(starts, t, side="right") - 1, 0) for t in spans[known].T)
        return self._scored(video_id, starts[first], ends[last], found[0][known], "sequence")

    def _found(self, video_id: str) -> tuple[str, Floats, Floats]:
        """The whole id, and when the shots begin and end: seconds, (shots,)."""
        ids = self._batches.ids
        found = video_ids_of([video_id], ids).get(video_id)
        if found is None:
            raise DataError(
                f"the store has nothing of video {video_id!r} that the run reads, as {ids[0]!r} has"
            )
        return found, *_shots(self._batches.loader.samples.features.store, found)

    def _scored(
        self, video_id: str, starts: Floats, ends: Floats, scores: NDArray[np.float32], unit: str
    ) -> SceneScores:
        counted = {"shot": "shots", "sequence": "sequences of shots"}[unit]
        return SceneScores(
            video_id=video_id,
            genres=self._genres,
            start_seconds=starts,
            end_seconds=ends,
            scores=scores,
            whole=scores_of(self._model, only(self._batches, [video_id]), **self._device)[1][0],
            about=f"{len(starts):,} {counted} · scored by {self._run} ({self._kind})",
            unit=unit,
        )


def shot_batches(video: Batch, starts: Floats, stream: Stream) -> Iterator[Batch]:
    """The shots of the one video of a batch as videos of their own; their ids are the numbers of the shots.

    ``starts`` (shots,) ascend. Shots in which no expert has a step are left out.
    """
    pieces: dict[str, Mapping[int, Video]] = {}
    for expert, features in video.features.items():
        kept = ~video.padding[expert][0]
        steps = stream.steps.get(expert, Steps())
        pieces[expert] = _pieces(features[0][kept], video.start_seconds[expert][0][kept], starts, steps)
    dims = {expert: features.shape[2] for expert, features in video.features.items()}
    shots = sorted({shot for expert, found in pieces.items() if dims[expert] for shot in found})
    for first in range(0, len(shots), stream.batch_size):
        some = shots[first : first + stream.batch_size]
        samples = {expert: [found.get(shot) for shot in some] for expert, found in pieces.items()}
        yield collate([str(shot) for shot in some], samples, dims)


def _pieces(vectors: Any, seconds: Any, starts: Floats, steps: Steps) -> Mapping[int, Video]:
    """An expert's steps (time, dim) by the shot that they belong to."""
    shot_of = np.maximum(np.searchsorted(starts, seconds.numpy(), side="right") - 1, 0)
    found: dict[int, Video] = {}
    for shot in np.unique(shot_of).tolist():
        mine = np.flatnonzero(shot_of == shot)
        chosen = mine[steps.choose(len(mine), draw=(shot,))]
        values, times = vectors[chosen], seconds[chosen]
        found[shot] = (values.mean(dim=0, keepdim=True), times[:1]) if steps.mean else (values, times)
    return found


def _shots(store: Store, video_id: str) -> tuple[Floats, Floats]:
    """When the shots of a video begin and end, (shots,), ascending."""
    try:
        table = timed_rows(read(store, TABLE, columns=["start_seconds", "end_seconds"], video_ids=[video_id]))
    except StoreError as error:
        raise DataError(f"{error}: extract with --experts {TABLE},... to get shots") from error
    if not len(table):
        raise DataError(f"the store has no shots of {video_id!r}: it has no pictures, or failed")
    starts, ends = (np.asarray(table.column(name)) for name in ("start_seconds", "end_seconds"))
    order = np.argsort(starts, kind="stable")
    return starts[order], ends[order]


TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)  # seconds


def scenes_picture(found: SceneScores, threshold: float = 0.5) -> bytes:
    """Above, the likeliest genre of each shot; below, a row for each genre: the fuller, the likelier.

    A line marks the shots whose score reaches ``threshold``.
    """
    widths = found.end_seconds - found.start_seconds
    known = np.flatnonzero(found.known).tolist()
    bars = [(float(found.start_seconds[shot]), float(widths[shot])) for shot in known]
    first, last = float(found.start_seconds[0]), float(found.end_seconds.max())

    colours = [colour_and_mark(look)[0] for look in looks_of(found.genres)]

    def draw(picture: Picture) -> None:
        count = len(found.genres)
        above, below = picture.subplots(2, 1, sharex=True, height_ratios=(1.25, count))
        _bars(above, bars, 0, [colours[int(found.scores[shot].argmax())] for shot in known])
        for genre in range(count):
            shades = [(colours[genre], float(found.scores[shot, genre])) for shot in known]
            _bars(below, bars, genre, shades)
            reaching = [bar for bar, (_, score) in zip(bars, shades, strict=True) if score >= threshold]
            below.broken_barh(reaching, (genre + 0.34, 0.1), facecolors=colours[genre], linewidth=0)
        above.set_title(
            f"{shortened(found.video_id, 80)}: genres over time", fontsize=10, loc="left", color=DARK
        )
        above.set(yticks=[0], yticklabels=["likeliest"], ylim=(0.5, -0.5))
        below.set_yticks(range(count), [shortened(genre, 24) for genre in found.genres])
        below.set(xlim=(first, last), ylim=(count - 0.5, -0.5))
        below.set_xlabel(f"time; a line below: score of {threshold:g} or more")
        right = below.secondary_yaxis("right")
        right.set_yticks(range(count), [f"{score:.2f}" for score in found.whole])
        right.set_ylabel("score of the whole video")
        for axes in (above, below, right):
            axes.grid(visible=False)
            axes.tick_params(length=0, axis="y")
            axes.spines[:].set_visible(False)
        above.tick_params(length=0, axis="x")
        step = next((tick for tick in TICKS if (last - first) / tick <= 9), TICKS[-1])
        ticks = np.arange(math.ceil(first / step) * step, last + 1e-9, step)
        below.set_xticks(ticks, [clock(tick) for tick in ticks.tolist()])

    return svg(draw, (7.6, 1.3 + 0.23 * len(found.genres)))


def _bars(axes: Any, bars: Sequence[tuple[float, float]], row: int, colours: Sequence[Any]) -> None:
    if bars:
        axes.broken_barh(bars, (row - 0.44, 0.88), facecolors=colours, linewidth=0)
