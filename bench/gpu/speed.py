"""Items a second of every expert, its share of the card's peak, and the memory that it takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.gpu.machine import peak
from bench.gpu.measuring import Gauge, Measurement
from bench.gpu.shown import load, make, many, resources, shown
from bench.gpu.values import depends_on
from extract.expert import Expert, Model, Precision
from extract.ops.network.device import free_device_memory
from extract.types import Item


def speed(gauge: Gauge) -> None:
    """At each batch size; batches that would take too long are left out."""
    found = shown(gauge)
    for precision in gauge.sizes.precisions:
        for name in gauge.sizes.experts:
            expert = make(name)
            if depends_on(precision, expert):
                _of_expert(gauge, expert, found[name], precision)
                free_device_memory()


def _of_expert(gauge: Gauge, expert: Expert, items: list[Item], precision: Precision) -> None:
    what = {"expert": expert.name, "precision": precision}
    loaded: list[Model] = []
    with_what = resources(gauge, precision, gauge.sizes.batches[0])

    def load_it() -> Measurement:
        loaded.append(load(expert, with_what))
        return {"weights GB": _gigabytes(gauge, torch.cuda.memory_allocated)}

    gauge.measure({**what, "batch": "loaded"}, load_it)
    seconds_each = 0.0
    for batch in gauge.sizes.batches if loaded else ():
        if batch * seconds_each > gauge.sizes.most_seconds:
            note = f"left out: about {batch * seconds_each:.0f} s a batch"
            gauge.take({**what, "batch": batch, "note": note})
            continue
        with_what.batch_size = batch
        call = partial(_timed, gauge, loaded[0], many(items, batch), precision)
        seconds_each = 1 / gauge.measure({**what, "batch": batch}, call).get("items/s", float("inf"))


def _timed(gauge: Gauge, model: Model, items: list[Item], precision: Precision) -> Measurement:
    """Operations are those that torch's counter sees, padding among them: no TV-L1, and no CUDA graphs."""
    if gauge.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = gauge.seconds(lambda: model(items))
    with FlopCounterMode(display=False) as counter:
        model(items)
    operations = counter.get_total_flops()
    top = peak(gauge, precision)
    return {
        "items/s": len(items) / seconds,
        "GFLOP an item": operations / len(items) / 1e9,
        "share of peak": operations / seconds / top if top and operations else None,
        "peak GB": _gigabytes(gauge, torch.cuda.max_memory_allocated),
    }


def _gigabytes(gauge: Gauge, measured: Callable[[], int]) -> float | None:
    return measured() / 1e9 if gauge.on_gpu else None
