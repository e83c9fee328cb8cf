"""A store as a trained run reads it: the same experts, fingerprints, steps and normalisation."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipeline.storage.location import Location, location
from pipeline.store.layout import Store
from train.loading.features import FeatureSet
from train.loading.normalise import Normalised, Normaliser
from train.loading.steps import Steps
from train.loading.stream import Loader, Stream
from train.model import GenreModel
from train.runs.run_folder import RunFolder


def batches_of(
    run: RunFolder,
    model: GenreModel,
    store: Store | Location | str | os.PathLike[str],
    ids: Sequence[str] | None = None,
    *,
    allow_random_weights: bool = False,
    assumed: Collection[str] = (),
    pin: bool = False,
) -> Normalised:
    """Batches of these videos of the store (None: of all), by id; ``model`` is the run's; ``pin``: for a GPU.

    Of tables that are ``assumed`` to be made as the run's were, no fingerprint is compared. Raises DataError
    where the store's rows are not of the fingerprints that the run was trained on, were made with random
    weights, or where a video has none.
    """
    config = run.config()
    features = features_of(config, store, allow_random_weights=allow_random_weights, assumed=assumed)
    training = config["options"]["training"]
    stream = Stream(
        batch_size=training["batch_size"],
        steps={name: steps.at_test for name, steps in steps_of(config).items()},
        seed=training["seed"],
        pin=pin,
    )
    loader = Loader(features, features.ids if ids is None else ids, stream=stream)
    return Normalised(loader, Normaliser.load(run.normalisation_path))


def features_of(
    config: Mapping[str, Any],
    store: Store | Location | str | os.PathLike[str],
    *,
    allow_random_weights: bool = False,
    assumed: Collection[str] = (),
) -> FeatureSet:
    """What a run's ``config`` says that it reads of a store. Raises DataError as :func:`batches_of`."""
    timelines = config.get("timelines", [])
    features = FeatureSet.open(
        store if isinstance(store, Store) else location(store, "features"),
        list(config["inputs"]),
        timelines=timelines,
        columns={name: steps.columns for name, steps in steps_of(config).items()},
        allow_random_weights=allow_random_weights,
    )
    features.require(
        {
            table: entry["fingerprint"]
            for entry in config["experts"].values()
            for table in entry["tables"]
            if (table in config["inputs"] or table in timelines) and table not in assumed
        }
    )
    return features


def steps_of(config: Mapping[str, Any]) -> dict[str, Steps]:
    """By expert, how a run chose steps in training."""
    return {name: Steps(**entry) for name, entry in config["options"]["steps"].items()}
