"""What precision a run computes in where nobody says: the store's, else the device's usual one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import get_args

from extract.errors import StoreError, UsageError
from extract.options import Precision
from extract.registry import with_upstream
from extract.selection import choose_device, usual_precision
from pipeline.recorded import precision_of
from pipeline.store.layout import Store
from pipeline.work.config import RunConfig


def with_precision(config: RunConfig) -> tuple[RunConfig, tuple[str, ...]]:
    """The run with its precision made definite, and what the user should know of that.

    A store that has rows keeps theirs, so that a CPU and a GPU continue each other's stores. Whoever works on
    the run is told, since its device may have another usual one. Raises StoreError for a damaged store,
    UsageError for a device that is not there.
    """
    if config.precision is not None:
        return config, ()
    usual = _usual(config)
    stored = _stored(config)
    if stored is None or stored == usual:
        return replace(config, precision=usual), ()
    told = (
        f"networks compute in {stored}, as those of this store did; the default on this device is {usual}, "
        f"and --precision {usual} would extract all videos again"
    )
    return replace(config, precision=stored), (told,)


def _usual(config: RunConfig) -> Precision:
    """The precision that is usual where the run's workers are; float32 where that is not known here."""
    cluster = config.cluster
    if cluster.gpus:
        return usual_precision("cuda")
    if cluster.scheduler and config.device == "auto":
        return "float32"
    return usual_precision(config.device if cluster.scheduler else choose_device(config.device))


def _stored(config: RunConfig) -> Precision | None:
    """What the store's rows of this run's networks were computed in, or if it has none, those of others.

    Where they differ, it is the last run's; None where all rows are of experts that leave nothing open.
    """
    store = Store(config.out)
    found: dict[str, str] = {}
    for target in store.targets():
        with suppress(StoreError, UsageError):  # rows that no run here makes bind none
            if (precision := precision_of(target.expert, target.made_of)) is not None:
                found[target.expert] = precision
    said = {found[name] for name in with_upstream(config.experts) if name in found} or {*found.values()}
    if len(said) > 1:
        said = {store.run_record().get("options", {}).get("precision")}
    return next((known for known in get_args(Precision) if known in said), None)
