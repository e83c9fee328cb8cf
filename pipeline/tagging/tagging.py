"""Tags of a store's shots: a run of the expert ``tags`` on what ``clip`` has stored, without any video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from extract.errors import UsageError
from extract.selection import select
from pipeline.precision import with_precision
from pipeline.recompute.runnable import needed_for, unlike
from pipeline.recorded import extraction
from pipeline.storage.location import location
from pipeline.store.layout import Store, run_again
from pipeline.work.config import RunConfig


def tagging(
    store: Store, words: Sequence[str], *, weights: Path | None = None, device: str = "auto"
) -> RunConfig:
    """The run that gives a store these tags, in place of any that it has.

    Raises UsageError where the store has no rows of ``clip``, or this installation would make other ones, in
    whose space its texts need not be; WeightsError where the file of the model is not there.
    """
    known = {target.expert: target for target in store.targets()}
    if "clip" not in known:
        raise UsageError(
            f"{str(store.root)!r} has no rows of clip, which tags are compared with: "
            f"{run_again(store)} --experts +clip makes them"
        )
    made_of = needed_for("clip", known)
    found = extraction(made_of)
    model = made_of["clip"]["settings"].get("model")
    options = {**found.pop("options"), "tags": {"words": tuple(words), "model": model}}
    del found["experts"]
    last = store.run_record().get("options", {})
    config = RunConfig(
        **found,
        experts=("tags",),
        options=options,
        videos=location(last.get("videos") or store.videos_root or str(store.root)),
        out=store.root,
        weights=weights or store.weights_folder,
        device=device,
        stored_only=True,
    )
    selection = select(with_precision(config)[0])
    for name in made_of:
        if (why := unlike(known[name], selection)) is not None:
            raise UsageError(f"{name} of this installation is not the one of {str(store.root)!r}: {why}")
    return config
