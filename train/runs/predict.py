"""Genres of videos or of a store's videos, by a trained run.

Videos are extracted into a temporary store with the experts, options and weights that the run was trained
on; rows of any other fingerprint are refused. This is the one file of ``train`` that lets ``pipeline`` run.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pipeline
from extract.errors import StoreError, UsageError
from extract.registry import expert_class, expert_names
from extract.scratch import Scratch
from pipeline.storage.atomic import atomic
from pipeline.storage.location import Location, is_remote, location
from pipeline.store.layout import Store, open_store
from pipeline.store.videos import read_shards
from train.csv_cells import write_csv
from train.errors import DataError
from train.log import Log, log_of
from train.runs.run_folder import RunFolder, write_predictions
from train.runs.run_store import batches_of
from train.runs.scores import scores_of
from train.settings import Hardware


@dataclass(frozen=True)
class Prediction:
    """``scores``: (videos, genres), what the model gives each genre; ``without``: videos with no features."""

    ids: tuple[str, ...]
    genres: tuple[str, ...]
    scores: NDArray[np.float32]
    without: tuple[str, ...] = ()

    def best(self, threshold: float = 0.5) -> list[list[tuple[str, float]]]:
        """The genres of each video whose score reaches ``threshold``, or the one that comes nearest."""
        ranked = [
            sorted(zip(self.genres, map(float, row), strict=True), key=lambda pair: -pair[1])
            for row in self.scores
        ]
        return [[pair for pair in row if pair[1] >= threshold] or row[:1] for row in ranked]

    def write(self, path: Path) -> None:
        """As Parquet, or by the suffix as CSV with a column for each genre. Raises UsageError."""
        if path.suffix == ".parquet":
            splits = [""] * len(self.ids)
            write_predictions(
                path, self.genres, ids=self.ids, splits=splits, targets=None, scores=self.scores
            )
        elif path.suffix == ".csv":
            with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
                rows = zip(self.ids, self.scores.tolist(), strict=True)
                write_csv(file, ["video_id", *self.genres], ([name, *row] for name, row in rows), digits=6)
        else:
            raise UsageError(f"--out {str(path)!r}: give a name that ends in .csv or .parquet")


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
) -> Prediction:
    """Scores of every video of a store that has something of the run's experts, by id.

    Raises DataError where the store's rows are not of the fingerprints that the run was trained on, or
    were made with random weights.
    """
    run, hardware = RunFolder.of(run), hardware or Hardware()
    model = run.load_model()
    batches = batches_of(run, model, store, allow_random_weights=allow_random_weights)
    ids, scores = scores_of(model, batches, device=hardware.torch_device, precision=hardware.precision)
    shards = read_shards(batches.loader.samples.features.store)
    planned = {video.video_id for shard in shards for video in shard.videos}
    return Prediction(tuple(ids), tuple(run.config()["genres"]), scores, tuple(sorted(planned - set(ids))))


def predict_videos(
    run: RunFolder | str | os.PathLike[str],
    videos: Location | str | os.PathLike[str],
    *,
    hardware: Hardware | None = None,
    weights: Path | None = None,
    allow_random_weights: bool = False,
    log: Log | None = None,
) -> Prediction:
    """The same for a folder of videos, or one; ``weights`` is the folder of published checkpoints.

    Raises DataError where this installation would not extract what the run was trained on, and the
    errors of :func:`pipeline.run`.
    """
    run, log, videos = RunFolder.of(run), log_of(log), location(videos, "videos")
    if not is_remote(videos) and not videos.exists():
        raise UsageError(f"there is no {str(videos)!r}: give a video, a folder of videos, or a store")
    hardware = hardware or Hardware()
    config = run.config()
    if config["random_weights"] and not allow_random_weights:
        raise DataError(
            f"{str(run.root)!r} was trained on features of random weights: train on real ones, or pass "
            "--allow-random-weights for a dry run"
        )
    with Scratch("predict") as scratch:
        report = pipeline.run(
            videos,
            scratch.path / "features",
            weights=weights,
            device=hardware.torch_device,
            **extraction(config["experts"]),
        )
        log(f"{report.videos} videos, {report.failed} failures")
        _same(config["experts"], report.store)
        return predict_store(run, report.store, hardware=hardware, allow_random_weights=allow_random_weights)


def extraction(experts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The arguments of :func:`pipeline.run` under which these experts' rows were made.

    ``experts`` is that of a run's config.json, which may come from anyone. Raises DataError for rows that no
    expert here makes, and for options that name a file or folder: no rows depend on one.
    """
    options = {}
    for name, entry in experts.items():
        made_of = entry["made_of"]
        if name not in expert_names() or "settings" not in made_of:
            raise DataError(
                f"the run was trained on {name!r}, which no expert of this installation made: predict from a "
                "store that has it"
            )
        fields = dataclasses.fields(expert_class(name).Options)
        paths = [field.name for field in fields if field.type in ("str", "str | None")]
        foreign = next((path for path in paths if made_of["settings"].get(path) is not None), None)
        if foreign is not None:
            raise DataError(
                f"the run's config.json sets {name}.{foreign}={made_of['settings'][foreign]!r}, a place "
                "on this machine that it may not name: remove it there, or predict from a store"
            )
        known = {field.name for field in fields}
        options[name] = {key: value for key, value in made_of["settings"].items() if key in known}
    layouts = [layout for entry in experts.values() for layout in entry["made_of"]["tables"].values()]
    dtypes = {layout["dtype"] for layout in layouts if "dtype" in layout}
    return {
        "experts": list(experts),
        "options": options,
        "precision": _common(experts, "precision") or "float32",
        "dtype": "float16" if "float16" in dtypes else "float32",
        "random_seed": _common(experts, "random_seed"),
    }


def _common(experts: Mapping[str, Mapping[str, Any]], key: str) -> Any:
    """What those that have it have in common."""
    values = {entry["made_of"].get(key) for entry in experts.values()} - {None}
    if len(values) > 1:
        raise DataError(
            f"the run's experts were extracted with several values of {key} ({', '.join(map(str, values))}): "
            "extract with `python -m extract` in as many runs, and predict from the store"
        )
    return values.pop() if values else None


def _same(experts: Mapping[str, Mapping[str, Any]], store: Store) -> None:
    made = {target.expert: target.fingerprint for target in store.targets()}
    for name, entry in experts.items():
        if made.get(name) != entry["fingerprint"]:
            raise DataError(
                f"{name!r} gives fingerprint {made.get(name)} here, the run was trained on "
                f"{entry['fingerprint']}: other weights or another version; config.json of the run names them"
            )
