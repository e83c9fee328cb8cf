"""What happens when a card has no room, when a process loses it, and when a run takes all cards."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

import extract.experts
from bench.demo_trailers import Shot, Trailer, render_trailer
from bench.experts.assertion import FATAL
from bench.gpu.measuring import GRACE_SECONDS, Gauge, Measurement, run_apart
from bench.gpu.shown import SEED, load, make, many, resources, shown
from bench.gpu.values import vectors
from extract.engine.batches import BatchQueue
from extract.ops.network.device import free_device_memory
from extract.ops.network.device_errors import reason_of, trouble_of
from extract.types import Item, Row
from pipeline.work.config import Cluster, RunConfig
from pipeline.work.run import run_config

BATCH = 64
ROOM = 0.4  # of the memory that the whole batch takes beside the weights
EXPERTS = Path(__file__).parents[1] / "experts"
SHOTS = (Shot(2.0, "waves"), Shot(2.0, "discs"))


def short_memory(gauge: Gauge) -> None:
    """A batch for which there is no room is halved until there is, and gives the same rows."""
    expert = gauge.sizes.experts[0]
    gauge.measure({"expert": expert, "batch": BATCH}, partial(_short_memory, gauge, expert), needs_gpu=True)


def _short_memory(gauge: Gauge, name: str) -> Measurement:
    items = many(shown(gauge)[name], BATCH)
    with_what = resources(gauge, "float32", BATCH)
    model = load(make(name), with_what)
    weights = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    whole = vectors(model, items)
    taken = torch.cuda.max_memory_allocated() - weights
    free_device_memory()
    limit = torch.cuda.memory_reserved() + ROOM * taken
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(0).total_memory)
    queue = BatchQueue[Item, list[Row]](
        name, "device", model, done=lambda batch: None, batch_size=BATCH, resources=with_what
    )
    rows = queue.compute_in_parts(items)
    torch.cuda.set_per_process_memory_fraction(1.0)
    parts = np.stack([row["embedding"] for found in rows for row in found]).astype(np.float64)
    return {
        "GB wanted": (weights + taken) / 1e9,
        "GB allowed": limit / 1e9,
        "halved": queue.halved,
        "batch left": queue.size,
        "rows": len(rows),
        "difference": float(np.abs(parts - whole).max()),
    }


def broken_context(gauge: Gauge) -> None:
    """Two faults that CUDA does not forgive, each in a process of its own, and a run that meets one."""
    sooner = replace(gauge, deadline=gauge.deadline - GRACE_SECONDS / 2)  # they are killed before this one is
    for kind in ("device-side assertion", "illegal address"):
        problem = run_apart(partial(_break_context, kind=kind), sooner)
        if problem is not None:
            gauge.take({"fault": kind, "error": problem})
    what = {"fault": "device-side assertion", "where": "a video of a run"}
    gauge.measure(what, partial(_fatal_video, gauge), needs_gpu=True)


def _break_context(gauge: Gauge, *, kind: str) -> None:
    gauge.measure({"fault": kind, "where": "a process"}, partial(_what_it_says, kind), needs_gpu=True)


def _what_it_says(kind: str) -> Measurement:
    """The error, what it is taken for, and whether the process can still use the device (it cannot)."""
    said, taken_for, sticky = "no error", None, False
    try:
        _make_fault(kind)
    except Exception as error:
        said, taken_for = reason_of(error), trouble_of(error)
    try:
        torch.ones(2, device="cuda").sum().item()
    except Exception:
        sticky = True
    return {"says": said, "taken for": taken_for, "sticky": sticky}


def _make_fault(kind: str) -> None:
    numbers = torch.zeros(4, device="cuda")
    if kind == "illegal address":
        from bench.gpu.broken_kernel import write_beyond

        write_beyond[(1,)](numbers, 1 << 40)
    else:
        numbers[torch.tensor([1 << 20], device="cuda")].sum()
    torch.cuda.synchronize()


def _fatal_video(gauge: Gauge) -> Measurement:
    """One of four videos breaks the context each time: it alone is to be ``failed``."""
    os.environ["MARQUEE_EXPERTS"] = str(EXPERTS)  # for processes that are started; here it was read already
    extract.experts.__path__ = [*extract.experts.__path__, str(EXPERTS)]
    names = ("first", "second", f"{FATAL} one", "third")
    return _states(gauge, "assertion", names, Cluster())


def all_gpus(gauge: Gauge) -> None:
    """``--gpus all``: a worker for each card."""
    names = ("first", "second", "third")
    call = partial(_states, gauge, "musicnet", names, Cluster(gpus="all"))
    gauge.measure({"run": "--gpus all"}, call, needs_gpu=True)


def _states(gauge: Gauge, expert: str, names: tuple[str, ...], cluster: Cluster) -> Measurement:
    """What became of an expert's videos in a run of the product."""
    videos = gauge.folder / f"videos of {expert}"
    for name in names:
        render_trailer(videos / f"{name}.mp4", Trailer(name, SHOTS))
    began = time.perf_counter()
    report = run_config(
        RunConfig(
            videos=videos,
            out=gauge.folder / f"store of {expert}",
            experts=(expert,),
            random_seed=SEED,
            device="auto",
            cluster=cluster,
        )
    )
    states: Counter[str] = report.states[expert]
    return {
        "videos": report.videos,
        **{state: count for state, count in states.items() if count},
        "seconds": time.perf_counter() - began,
    }
