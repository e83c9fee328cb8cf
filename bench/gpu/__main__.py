"""What a card does with Marquee, in ten minutes and one report: ``python -m bench.gpu --out report.json``.

For one H100 or H200, with weights drawn from a seed, so that nothing has to be downloaded. The report is
whole after every measurement; a section that fails is recorded as failed and the others go on. ``--dry``
runs the same code to its end with tiny sizes, on a CPU too. docs/gpu.md says how to read it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from bench.gpu import sizes
from bench.gpu.cuda_tests import cuda_tests
from bench.gpu.faults import all_gpus, broken_context, short_memory
from bench.gpu.flow import flow
from bench.gpu.machine import copies, products, versions
from bench.gpu.measuring import Gauge, Section, run_apart
from bench.gpu.report import GpuReport
from bench.gpu.runs import runs
from bench.gpu.speech import speech
from bench.gpu.speed import speed
from bench.gpu.values import values
from pipeline.gpus import NoDriver, gpus_here

MINUTES = 10.0


class Part(NamedTuple):
    """A section, and its share of the time; what one leaves over is there for the next ones."""

    section: Section
    share: float


PARTS: Mapping[str, Part] = {
    "machine": Part(versions, 0.2),
    "copies": Part(copies, 0.2),
    "products": Part(products, 0.2),
    "tvl1": Part(flow, 0.9),
    "speed": Part(speed, 2.2),
    "whisper": Part(speech, 0.6),
    "values": Part(values, 1.8),
    "runs": Part(runs, 2.2),
    "memory": Part(short_memory, 0.2),
    "faults": Part(broken_context, 1.2),
    "gpus": Part(all_gpus, 0.3),
    "tests": Part(cuda_tests, 0.6),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 if something failed, as the report says."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="the report, JSON; an older one is replaced")
    parser.add_argument(
        "--dry", action="store_true", help="tiny sizes, on a CPU too; its figures say nothing"
    )
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all sections (default: 10)")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="these sections alone")
    parser.add_argument("--experts", nargs="+", choices=sizes.networks(), help="networks of these alone")
    chosen = parser.parse_args(arguments)
    device = "cuda:0" if has_gpu() else "cpu"
    if device == "cpu" and not chosen.dry:
        parser.error("no GPU is here that this PyTorch can use; --dry runs the same code on the CPU")
    measured = sizes.dry() if chosen.dry else sizes.full()
    if chosen.experts:
        measured = replace(measured, experts=tuple(chosen.experts))
    facts = {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "dry": chosen.dry,
        "finished": False,
    }
    report = GpuReport(chosen.out, facts)
    parts = {name: PARTS[name] for name in chosen.only or PARTS}
    with tempfile.TemporaryDirectory(prefix="marquee-gpu-") as folder:
        fill(report, parts, Gauge(device, measured, Path(folder)), seconds=60 * chosen.minutes)
    report.finish()
    print(f"{chosen.out}: " + (f"problems in {', '.join(report.failed)}" if report.failed else "all is well"))
    return int(bool(report.failed))


def has_gpu() -> bool:
    """Whether the driver shows one that this PyTorch can use. It starts no CUDA, which no fork survives."""
    try:
        return torch.version.cuda is not None and bool(gpus_here())
    except NoDriver:
        return False


def fill(report: GpuReport, parts: Mapping[str, Part], gauge: Gauge, *, seconds: float) -> None:
    """Run all sections in a row, and print each as it ends."""
    began, whole, passed = time.monotonic(), sum(part.share for part in parts.values()), 0.0
    for name, part in parts.items():
        passed += part.share
        report.begin(name)
        started = time.monotonic()
        mine = replace(
            gauge,
            earlier=report.measurements,
            deadline=began + seconds * passed / whole,
            take=partial(report.add, name),
        )
        problem = run_apart(part.section, mine)
        report.end(name, time.monotonic() - started, problem)
        print(report.table(name), flush=True)


if __name__ == "__main__":
    sys.exit(main())
