"""Genres of videos or of a store's videos, by a trained run.

Videos are extracted into a temporary store with the experts, options and weights that the run was trained
on; rows of any other fingerprint are refused. This is the one file of ``train`` that lets ``pipeline`` run.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pipeline
from extract.errors import StoreError, UsageError, count
from extract.scratch import Scratch
from pipeline.about.failures import failed_videos
from pipeline.recorded import extraction
from pipeline.storage.atomic import atomic
from pipeline.storage.csv_cells import write_csv
from pipeline.storage.location import Location, is_remote, location
from pipeline.storage.names import check_suffix
from pipeline.store.layout import Store, open_store
from pipeline.store.videos import read_shards
from train.errors import DataError
from train.importers.makers import Maker, assumed_experts, imported_tables, recorded_experts, said_of
from train.log import Log, log_of
from train.runs.run_folder import RunFolder, write_predictions
from train.runs.run_store import batches_of
from train.runs.scores import scores_of
from train.settings import Hardware, hardware_of

SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class Prediction:
    """What a run gives some videos.

    Attributes:
        ids: of the videos, sorted.
        genres: in the order of the scores.
        scores: (videos, genres), from 0 to 1, each genre by itself.
        without: videos with no features, of which there are no scores.
        failures: of those among them whose extraction failed, why.

    Example:
        >>> import train
        >>> found = train.predict_store("runs/first", "features")
        >>> len(found.ids), found.genres, found.scores.shape
        (24, ('fast', 'slow'), (24, 2))
        >>> found.write(Path("scores.csv"))
    """

    ids: tuple[str, ...]
    genres: tuple[str, ...]
    scores: NDArray[np.float32]
    without: tuple[str, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)

    def best(self, threshold: float = 0.5) -> list[list[tuple[str, float]]]:
        """The genres of each video whose score reaches ``threshold``, or the one that comes nearest."""
        ranked = [
            sorted(zip(self.genres, map(float, row), strict=True), key=lambda pair: -pair[1])
            for row in self.scores
        ]
        return [[pair for pair in row if pair[1] >= threshold] or row[:1] for row in ranked]

    def write(self, path: Path) -> None:
        """As Parquet, or by the suffix as CSV with a column for each genre. Raises UsageError."""
        check_suffix(path, *SUFFIXES)
        if path.suffix == ".parquet":
            splits = [""] * len(self.ids)
            write_predictions(
                path, self.genres, ids=self.ids, splits=splits, targets=None, scores=self.scores
            )
        else:
            with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
                rows = zip(self.ids, self.scores.tolist(), strict=True)
                write_csv(file, ["video_id", *self.genres], ([name, *row] for name, row in rows), digits=6)


def is_store(place: Location) -> bool:
    """Whether this folder is a feature store; else it is taken for videos."""
    try:
        open_store(place)
    except StoreError:
        return False
    return True


def predict_store(
    run: RunFolder | str | os.PathLike[str],
    store: Store | Location | str | os.PathLike[str],
    *,
    hardware: Hardware | None = None,
    allow_random_weights: bool = False,
    assumed: Collection[str] = (),
) -> Prediction:
    """Scores of every video of a store that has something of the run's experts, by id.

    Args:
        run: the trained run, or its folder.
        store: the feature store; a path, or a URL of object storage.
        hardware: where the model runs; default: a GPU if there is one.
        allow_random_weights: take features of random weights, for dry runs.
        assumed: tables that are taken to be made as the run's were; no fingerprint of theirs is compared.

    Raises:
        DataError: the store's rows are not of the fingerprints that the run was trained on, or were made with
            random weights.
        MarqueeError: there is no such run or store.

    Example:
        >>> import train
        >>> found = train.predict_store("runs/first", "features")
        >>> found.ids[0], len(found.best()[0]) > 0
        ('fast0', True)
    """
    run, hardware = RunFolder.of(run), hardware_of(hardware)
    model = run.load_model()
    batches = batches_of(
        run,
        model,
        store,
        allow_random_weights=allow_random_weights,
        assumed=assumed,
        pin=hardware.on_gpu,
    )
    ids, scores = scores_of(model, batches, device=hardware.torch_device, precision=hardware.precision)
    read = batches.loader.samples.features.store
    planned = {video.video_id for shard in read_shards(read) for video in shard.videos}
    return Prediction(
        tuple(ids),
        tuple(run.config()["genres"]),
        scores,
        tuple(sorted(planned - set(ids))),
        {one.video_id: one.message for one in failed_videos(read) if one.video_id not in ids},
    )


def predict_videos(
    run: RunFolder | str | os.PathLike[str],
    videos: Location | str | os.PathLike[str],
    *,
    makers: Mapping[str, Maker] | None = None,
    hardware: Hardware | None = None,
    weights: Path | None = None,
    random_seed: int | None = None,
    allow_random_weights: bool = False,
    log: Log | None = None,
) -> Prediction:
    """The same as :func:`predict_store` for a folder of videos, or one, which are extracted first.

    Args:
        run: the trained run, or its folder.
        videos: a video, or a folder of videos; a path, or a URL of object storage.
        makers: by table that was imported the expert that is taken to have made it.
        hardware: where the models run; default: a GPU if there is one.
        weights: folder with published checkpoints; default: the libraries' caches, then a download.
        random_seed: the weights of the ``makers`` are drawn from it, for a dry run.
        allow_random_weights: take a run of random weights, for dry runs.
        log: is called with each line that the command line would show.

    Raises:
        DataError: this installation would not extract what the run was trained on.
        MarqueeError: as :func:`pipeline.run`.

    Example:
        >>> import train
        >>> found = train.predict_videos("runs/first", "trailer.mp4")
        >>> found.ids, found.scores.shape
        (('trailer',), (1, 2))
    """
    run, log, videos = RunFolder.of(run), log_of(log), location(videos, "videos")
    if not is_remote(videos) and not videos.exists():
        raise UsageError(f"there is no {str(videos)!r}: give a video, a folder of videos, or a store")
    hardware = hardware_of(hardware)
    config = run.config()
    if config["random_weights"] and not allow_random_weights:
        raise DataError(
            f"{str(run.root)!r} was trained on features of random weights: train on real ones, or pass "
            "--allow-random-weights for a dry run"
        )
    imported, recorded = imported_tables(config), recorded_experts(config)
    arguments = _extraction(recorded) if recorded else {"dtype": "float32"}
    if imported:
        assumed = assumed_experts(config, makers or {})
        arguments = _with_assumed(arguments, recorded, assumed, random_seed, log)
    elif makers:
        raise UsageError("--as is for imported tables; the run records how its own were made: leave it out")
    with Scratch("predict") as scratch:
        report = pipeline.run(
            videos, scratch.path / "features", weights=weights, device=hardware.torch_device, **arguments
        )
        _same(recorded, report.store)
        found = predict_store(
            run,
            report.store,
            hardware=hardware,
            allow_random_weights=allow_random_weights or random_seed is not None,
            assumed=imported,
        )
        log(f"{count(report.videos, 'video')}, {len(found.failures)} failed")
        return found


def _with_assumed(
    arguments: Mapping[str, Any],
    recorded: Mapping[str, Mapping[str, Any]],
    assumed: Mapping[str, Mapping[str, Any]],
    random_seed: int | None,
    log: Log,
) -> dict[str, Any]:
    """The arguments of :func:`pipeline.run` that make what is recorded, and what is assumed, which is logged.

    Raises UsageError for a ``random_seed`` that would draw what is recorded anew: a run has one.
    """
    known = arguments.get("random_seed")
    with_files = [name for name, entry in recorded.items() if entry["made_of"]["weights"]]
    if random_seed is not None and (with_files or known not in (None, random_seed)):
        had = f"published weights of {with_files[0]!r}" if with_files else f"--random-weights {known}"
        raise UsageError(f"--random-weights {random_seed}: the run was trained on {had}; leave it out")
    log(said_of(assumed))
    return {
        **arguments,
        "experts": [*arguments.get("experts", ()), *assumed],
        "options": {**arguments.get("options", {}), **assumed},
        "random_seed": known if random_seed is None else random_seed,
    }


def _extraction(experts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The arguments of :func:`pipeline.run` that make what the run was trained on. Raises DataError."""
    try:
        return extraction({name: entry["made_of"] for name, entry in experts.items()})
    except StoreError as error:
        raise DataError(
            f"what the run was trained on cannot be extracted here: {error}; predict from a store that has it"
        ) from error


def _same(experts: Mapping[str, Mapping[str, Any]], store: Store) -> None:
    made = {target.expert: target.fingerprint for target in store.targets()}
    for name, entry in experts.items():
        if made.get(name) != entry["fingerprint"]:
            raise DataError(
                f"{name!r} gives fingerprint {made.get(name)} here, the run was trained on "
                f"{entry['fingerprint']}: other weights or another version; config.json of the run names them"
            )
