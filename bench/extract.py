"""How well decoding and computing overlap: ``python -m bench.extract``.

For each preset, in one process: the time of the decoders alone, of the models alone on the same
work, and of a whole run into a store. Ideally the whole run takes as long as the longer half:
efficiency is ``max(decode, compute) / wall``. On a CPU both halves want the same cores, so a run
cannot be faster than the processor seconds of both halves spread over all cores; the column
``bound`` is that or the longer half, whichever is larger, and ``of bound`` compares with it.

All three times begin when the models are loaded (``start-up``) and the libraries imported (a
recording run comes first). What is loaded with the first item, that is the decoder processes'
own imports and one OCR session for each host thread, counts in all of them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.demo_trailers import DEMO, render_trailer
from bench.replay import Cost, Decoded, Recorder, compute_only, decode_only
from extract.engine.engine import Engine
from extract.engine.models import load_models
from extract.engine.task import VideoTask
from extract.presets import Options
from extract.registry import with_upstream
from extract.selection import select
from pipeline.settings import choose, load_preset, parse_assignments
from pipeline.storage.scan import scan
from pipeline.work.config import RunConfig, usable_cores
from pipeline.work.host import engine_settings
from pipeline.work.run import RunReport, run_config

SEED = 1
PRESETS = ("offline", "sulun2024")
COPIES = 2

# Whisper's default model is far too slow for a CPU; the smallest, with few words a window, takes
# part. The rendered trailers have no speech and random weights say only nonsense: so no VAD, and
# DistilBERT reads it all the same.
OPTIONS: Options = {
    "whisper": {"model": "tiny", "sample_len": 16, "vad": False},
    "distilbert": {"skip_hallucinations": False},
}


@dataclass(frozen=True)
class Result:
    """A preset's times: the least of all repetitions, since other programs can only add to them."""

    preset: str
    start_up: Cost
    decode: Decoded
    compute: Cost
    wall: Cost
    rows: Mapping[str, int]
    cores: int

    @property
    def efficiency(self) -> float:
        return max(self.decode.cost.seconds, self.compute.seconds) / self.wall.seconds

    @property
    def bound_seconds(self) -> float:
        both = (self.decode.cost.cpu_seconds + self.compute.cpu_seconds) / self.cores
        return max(self.decode.cost.seconds, self.compute.seconds, both)


def measure(config: RunConfig, *, name: str, repeat: int) -> Result:
    """Record a run, then take each time ``repeat`` times. ``config.out`` is a folder for the stores."""
    selection = select(config)
    settings = engine_settings(config, selection.device)
    found = scan(config.videos)
    assert isinstance(config.out, Path) and isinstance(found.root, Path)  # a bench is local
    root = os.fsencode(found.root)
    tasks = [
        VideoTask(entry.raw.hex(), os.path.join(root, entry.raw), tuple(selection.experts))
        for entry in found.inputs
        if entry.problem is None
    ]
    load_models(selection, batch_size=settings.batch_size)  # imports
    before = Cost.now()
    models = load_models(selection, batch_size=settings.batch_size)
    start_up = Cost.now() - before
    recorder = Recorder(models, selection)
    with Engine(selection, settings, models=recorder.models) as engine:
        for _ in engine.run(tasks):
            pass
    record = recorder.record
    decodes, computes, walls = [], [], []
    for number in range(repeat):
        decodes.append(decode_only(selection, settings, tasks, record))
        computes.append(compute_only(selection, settings, models, record))
        wall, report = _whole_run(config, store=config.out / f"{name} {number}")
        walls.append(wall)
    return Result(
        preset=name,
        start_up=start_up,
        decode=min(decodes, key=lambda decoded: decoded.cost.seconds),
        compute=min(computes, key=lambda cost: cost.seconds),
        wall=min(walls, key=lambda cost: cost.seconds),
        rows=report.rows,
        cores=usable_cores(),
    )


def _whole_run(config: RunConfig, *, store: Path) -> tuple[Cost, RunReport]:
    """A normal run into a new store, without its start-up: from when its models are loaded."""
    ready: list[Cost] = []

    class TimedEngine(Engine):
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            ready.append(Cost.now())

    with patch("pipeline.work.host.Engine", TimedEngine):
        report = run_config(replace(config, out=store))
    return Cost.now() - ready[0], report


def render(folder: Path, *, copies: int) -> Path:
    """The demo's trailers, each ``copies`` times under another name."""
    for number in range(copies):
        for trailer in DEMO:
            path = folder / f"{number} {trailer.name}.mp4"
            if number == 0:
                render_trailer(path, trailer)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(folder / f"0 {trailer.name}.mp4", path)
    return folder


def table(results: Sequence[Result]) -> str:
    """Two Markdown tables: times, and rows by expert."""
    lines = [
        "| preset | videos | start-up s | decode s (cpu) | compute s (cpu) | wall s (cpu) | efficiency "
        "| bound s | of bound | videos/h | video s/s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        decode = r.decode
        costs = (decode.cost, r.compute, r.wall)
        times = " | ".join(f"{c.seconds:.1f} ({c.cpu_seconds:.1f})" for c in costs)
        lines.append(
            f"| {r.preset} | {decode.videos} | {r.start_up.seconds:.1f} | {times} | {r.efficiency:.2f} "
            f"| {r.bound_seconds:.1f} | {r.bound_seconds / r.wall.seconds:.2f} "
            f"| {3600 * decode.videos / r.wall.seconds:.0f} | {decode.video_seconds / r.wall.seconds:.1f} |"
        )
    lines += ["", "| preset | expert | rows | rows/s |", "|---|---|---|---|"]
    for r in results:
        lines += [f"| {r.preset} | {n} | {k} | {k / r.wall.seconds:.1f} |" for n, k in r.rows.items()]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Decode and compute times, and how well they overlap.")
    parser.add_argument("--videos", type=Path, help="folder of videos (default: rendered trailers)")
    parser.add_argument("--preset", action="append", help=f"repeatable (default: {', '.join(PRESETS)})")
    parser.add_argument("--experts", nargs="+", help="only these of the preset")
    parser.add_argument("--repeat", type=_count, default=2, help="times that each is taken (default: 2)")
    parser.add_argument("--copies", type=_count, default=COPIES, help=f"of the trailers (default: {COPIES})")
    parser.add_argument("--set", action="append", default=[], metavar="EXPERT.OPTION=VALUE")
    chosen = parser.parse_args(arguments)
    print(f"{usable_cores()} cores, load average {os.getloadavg()[0]:.1f} before the first run\n")
    results = []
    with tempfile.TemporaryDirectory(prefix="marquee-bench-") as folder:
        videos = chosen.videos or render(Path(folder) / "videos", copies=chosen.copies)
        for preset in chosen.preset or PRESETS:
            experts = with_upstream(chosen.experts or load_preset(preset).experts)
            ours = {name: values for name, values in OPTIONS.items() if name in experts}
            layers = [ours, parse_assignments(chosen.set)]
            names, options = choose(preset=preset, experts=experts, layers=layers)
            config = RunConfig(
                videos=videos, out=Path(folder), experts=names, options=options, random_seed=SEED
            )
            results.append(measure(config, name=preset, repeat=chosen.repeat))
    print(table(results))
    print(f"\nLoad average at the end: {os.getloadavg()[0]:.1f}; what else ran in between adds to the times.")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text}; it must be at least 1")
    return number


if __name__ == "__main__":
    main()
