"""Sulun et al. 2024: a published classifier (``MODEL.pt`` with ``MODEL_config.pt``) as a run.

The weights are a bare state dict, the configuration is a dictionary of the arguments of training, with paths
and a device in it. torch reads both restrictedly: of classes, only paths and devices are known, and a path is
read as a pure one, which cannot touch a disk.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import torch

from extract.errors import UsageError
from pipeline.storage.location import Location
from train.errors import DataError
from train.importers.pickles import load_arrays
from train.importers.sulun import genres_of_file
from train.labels.matching import match
from train.labels.table import LabelColumns, read_labels
from train.loading.normalise import Normaliser
from train.loading.steps import Steps
from train.registry import make_model, model_options
from train.runs.run_folder import RunFolder, stamp, write_predictions
from train.runs.run_store import batches_of
from train.runs.scores import scores_of
from train.settings import Hardware, Training

MODEL = "sulun-published"
_PATHS = [
    (kind, f"{module}.{name}")
    for module in ("pathlib", "pathlib._local")  # the second since Python 3.13
    for kind, names in (
        (PurePosixPath, ("PosixPath", "PurePosixPath")),
        (PureWindowsPath, ("WindowsPath", "PureWindowsPath")),
    )
    for name in names
]


def import_classifier(
    model: Path, config: Path, out: Path, *, published: Path | None = None, genres: Sequence[str] = ()
) -> RunFolder:
    """Make a run of the classifier, which ``predict`` uses.

    ``published`` is their ``features.pkl``: it has the genres' names, and the statistics that a classifier of
    scaled features needs. Without it ``genres`` are the names, in the order of the outputs, or they are
    numbered. Raises DataError for files that are not the classifier's, UsageError for the folder.
    """
    run, given = RunFolder(out), _configuration(config)
    content = load_arrays(published) if published else {}
    names = list(genres) or (genres_of_file(published, content) if published else [])
    count = int(given["n_labels"])
    names = names or [f"genre {number}" for number in range(count)]
    if len(names) != count:
        raise UsageError(f"{len(names)} genres are named, {str(config)!r} has {count}: name each")
    inputs = {name: int(given["feature_dims"][name]) for name in sorted(given["feature_dims"])}
    options = {
        "kind": given["model"],
        "lengths": tuple(int(given["feature_lengths"][name]) for name in inputs),
        "width": int(given["d_model"]),
        "layers": int(given["n_layers"]),
        "heads": int(given["n_heads"]),
        "fixed_positions": bool(given.get("fixed_position_encoding", False)),
    }
    normaliser = _normaliser(given, inputs, content)
    network: Any = make_model(MODEL, inputs, count, options)
    try:
        network.network.load_state_dict(_load(model))
    except (RuntimeError, TypeError, AttributeError) as error:
        said = " ".join(str(error).split())
        raise DataError(f"{str(model)!r} has not the weights of {str(config)!r}: {said[:200]}") from error
    run.create(flag="--out")
    run.claim(_record(model, config, inputs, names, options), flag="--out")
    normaliser.save(run.normalisation_path)
    run.save_model(network)
    run.write_json(run.training_path, {"imported": model.name})
    return run


def predict_labelled(run: RunFolder, features: Location, labels: Path) -> int:
    """Write ``predictions.parquet`` of a store's labelled videos, all as ``test``; how many they are."""
    config, model = run.config(), run.load_model()
    batches = batches_of(run, model, features)
    table = match(read_labels(labels, LabelColumns()), batches.loader.samples.features.ids)
    batches = batches_of(run, model, features, table.ids)
    ids, scores = scores_of(model, batches)
    place = {genre: i for i, genre in enumerate(table.genres)}
    unknown = [genre for genre in table.genres if genre not in config["genres"]]
    if unknown:
        raise DataError(f"{str(labels)!r} has the genre {unknown[0]!r}; the classifier has others: name them")
    rows = table.rows(ids)
    known = [place.get(genre) for genre in config["genres"]]
    columns = [rows[:, i] if i is not None else rows[:, 0] & False for i in known]
    targets = torch.tensor([list(column) for column in columns]).T.numpy()
    write_predictions(
        run.predictions_path,
        config["genres"],
        ids=ids,
        splits=["test"] * len(ids),
        targets=targets,
        scores=scores,
    )
    return len(ids)


def _load(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([*_PATHS, torch.device]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        said = " ".join(str(error).split())
        raise DataError(f"{str(path)!r} is not of a published classifier: {said[:200]}") from error


def _configuration(path: Path) -> Mapping[str, Any]:
    given = _load(path)
    needed = ("model", "feature_lengths", "feature_dims", "n_layers", "n_heads", "d_model", "n_labels")
    missing = [name for name in needed if not isinstance(given, Mapping) or name not in given]
    if missing:
        raise DataError(f"{str(path)!r} has no {missing[0]!r}: give the _config.pt that belongs to the model")
    return dict(given)


def _normaliser(given: Mapping[str, Any], inputs: Mapping[str, int], content: Any) -> Normaliser:
    """Nothing is scaled unless the configuration says so, and then by one number for a feature."""
    shift = dict.fromkeys(inputs, 0.0)
    scale = dict.fromkeys(inputs, 1.0)
    for option, first, second in (("standardize", "mean", "std"), ("normalize", "min", "max")):
        if given.get(option):
            try:
                stats = {name: content["stats"][name] for name in inputs}
                for name, mine in stats.items():
                    shift[name] = float(mine[first])
                    scale[name] = float(mine[second]) - (shift[name] if option == "normalize" else 0.0)
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"the classifier's features are scaled ({option}), {first} and {second} are not known "
                    f"({error}): give --published features.pkl"
                ) from error
    return Normaliser(
        {name: torch.full((dim,), shift[name]) for name, dim in inputs.items()},
        {name: torch.full((dim,), scale[name] or 1.0) for name, dim in inputs.items()},
    )


def _record(
    model: Path,
    config: Path,
    inputs: Mapping[str, int],
    genres: Sequence[str],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        **stamp(Hardware(device="cpu")),
        "imported": {"model": model.name, "config": config.name},
        "model": MODEL,
        "inputs": dict(inputs),
        "timelines": [],
        "genres": list(genres),
        "options": {
            "model": asdict(model_options(MODEL, options)),
            "training": asdict(Training()),
            "steps": {name: asdict(Steps()) for name in inputs},
        },
        "experts": {},
        "random_weights": [],
    }
