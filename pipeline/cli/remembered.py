"""What a store remembers of how it was made, for a run that leaves that open."""

from __future__ import annotations

import os
from typing import Any

from extract.errors import StoreError, UsageError
from extract.registry import expert_names
from pipeline.recorded import extraction
from pipeline.storage.location import Location
from pipeline.store.layout import Store
from pipeline.store.videos import read_shards

CHOICES = ("experts", "options", "precision", "dtype", "decode", "random_weights", "weights")


def remembered(out: Location, *, choices: bool) -> dict[str, Any]:
    """By the names of flags: the videos of a store, and with ``choices`` how all its experts were run.

    Empty where there is no store yet. Raises StoreError for one that cannot be read, UsageError where its
    experts cannot be run as one extraction.
    """
    store = Store(out)  # which need not be there
    options = store.run_record().get("options", {})
    videos = _videos(store, options.get("videos"))
    found = {} if videos is None else {"videos": videos}
    return found | (_choices(store) if choices else {})


def _choices(store: Store) -> dict[str, Any]:
    """The experts whose rows are current, as they were made; those of importers are not run."""
    here = expert_names()
    made_of = {
        target.expert: target.made_of
        for target in store.targets()
        if target.expert in here and "settings" in target.made_of
    }
    if not made_of:
        return {}
    try:
        found = extraction(made_of)
    except StoreError as error:
        raise UsageError(
            f"{str(store.root)!r} cannot be continued as it was made: {error}; give --experts or --preset"
        ) from error
    return {
        "experts": tuple(found["experts"]),
        "options": found["options"],
        "precision": found["precision"],
        "dtype": found["dtype"],
        "decode": found["decode"],
        "random_weights": found["random_seed"],
        "weights": store.weights_folder,
    }


def _videos(store: Store, asked: object) -> str | None:
    """The folder of a store's videos, or its only video."""
    root = store.videos_root
    if root is None:
        return None
    single = isinstance(asked, str) and os.path.isfile(os.path.join(root, os.path.basename(asked)))
    if single and sum(len(shard.videos) for shard in read_shards(store)) <= 1:
        return os.path.join(root, os.path.basename(str(asked)))
    return root
