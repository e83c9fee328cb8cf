"""What precision a run computes in where nobody says: the store's, else the device's usual one."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from extract.options import Precision
from extract.registry import expert_class, expert_names
from extract.selection import choose_device, usual_precision
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
    """What the last run computed in, if the store has rows of experts that leave it open."""
    record = Store(config.out).run_record()
    names = expert_names()
    if not any(name in names and expert_class(name).tolerance for name in record.get("experts", {})):
        return None
    said = record.get("options", {}).get("precision")
    return next((known for known in get_args(Precision) if known == said), None)
