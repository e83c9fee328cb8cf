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
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

from bench.demo_trailers import DEMO, Trailer, render_trailer
from bench.replay import Cost, Decoded, Recorder, compute_only, decode_only
from extract.engine.engine import Engine
from extract.engine.models import items_at_once, load_models
from extract.engine.settings import EngineSettings
from extract.engine.task import VideoTask
from extract.presets import Options
from extract.registry import with_upstream
from extract.selection import Selection, select
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
    """A preset's times: the least of all repetitions, since other programs can only add to them.

    ``busy`` is the share of the wall time in which the device lane computed, ``fill`` the mean share of the
    items that a batch may have that it had, of each expert of that lane.
    """

    preset: str
    start_up: Cost
    decode: Decoded
    compute: Cost
    wall: Cost
    rows: Mapping[str, int]
    cores: int
    busy: float = 0.0
    fill: Mapping[str, float] = field(default_factory=dict)

    @property
    def efficiency(self) -> float:
        return max(self.decode.cost.seconds, self.compute.seconds) / self.wall.seconds

    @property
    def speed(self) -> float:
        """Seconds of video a second."""
        return self.decode.video_seconds / self.wall.seconds

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
    decodes, computes, runs = [], [], []
    for number in range(repeat):
        decodes.append(decode_only(selection, settings, tasks, record))
        computes.append(compute_only(selection, settings, models, record))
        runs.append(_whole_run(config, store=config.out / f"{name} {number}"))
    wall, busy_seconds, report = min(runs, key=lambda run: run[0].seconds)
    return Result(
        preset=name,
        start_up=start_up,
        decode=min(decodes, key=lambda decoded: decoded.cost.seconds),
        compute=min(computes, key=lambda cost: cost.seconds),
        wall=wall,
        rows=report.rows,
        cores=usable_cores(),
        busy=busy_seconds / wall.seconds,
        fill={
            name: sum(sizes) / len(sizes) / items_at_once(expert, settings.batch_size, selection.device)
            for name, sizes in record.batches.items()
            if (expert := selection.experts[name]).lane == "device"
        },
    )


def _whole_run(config: RunConfig, *, store: Path) -> tuple[Cost, float, RunReport]:
    """A normal run into a new store, without its start-up: from when its models are loaded.

    Beside its cost, the busy seconds of the device lane.
    """
    ready: list[Cost] = []
    engines: list[Engine] = []

    class TimedEngine(Engine):
        def __init__(self, selection: Selection, settings: EngineSettings) -> None:
            models = load_models(selection, batch_size=settings.batch_size)
            super().__init__(selection, settings, models=models)
            ready.append(Cost.now())
            engines.append(self)

    with patch("pipeline.work.host.Engine", TimedEngine):
        report = run_config(replace(config, out=store))
    cost = Cost.now() - ready[0]
    return cost, engines[0].reading().busy_seconds.get("device", 0.0), report


def render(folder: Path, *, copies: int, trailers: Sequence[Trailer] = DEMO) -> Path:
    """The demo's trailers, or others, each ``copies`` times under another name."""
    for number in range(copies):
        for trailer in trailers:
            path = folder / f"{number} {trailer.name}.mp4"
            if number == 0:
                render_trailer(path, trailer)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(folder / f"0 {trailer.name}.mp4", path)
    return folder


def chosen_experts(
    preset: str, experts: Sequence[str] | None, changed: Options
) -> tuple[tuple[str, ...], Options]:
    """A preset's experts, or these of them; their options are :data:`OPTIONS`, then what is ``changed``."""
    names = with_upstream(experts or load_preset(preset).experts)
    ours = {name: values for name, values in OPTIONS.items() if name in names}
    return choose(preset=preset, experts=names, layers=[ours, changed])


def table(results: Sequence[Result]) -> str:
    """Two Markdown tables: times, and rows by expert."""
    lines = [
        "| preset | videos | start-up s | decode s (cpu) | compute s (cpu) | wall s (cpu) | efficiency "
        "| bound s | of bound | videos/h | video s/s | device busy |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        decode = r.decode
        costs = (decode.cost, r.compute, r.wall)
        times = " | ".join(f"{c.seconds:.1f} ({c.cpu_seconds:.1f})" for c in costs)
        lines.append(
            f"| {r.preset} | {decode.videos} | {r.start_up.seconds:.1f} | {times} | {r.efficiency:.2f} "
            f"| {r.bound_seconds:.1f} | {r.bound_seconds / r.wall.seconds:.2f} "
            f"| {3600 * decode.videos / r.wall.seconds:.0f} | {r.speed:.1f} | {r.busy:.0%} |"
        )
    lines += ["", "| preset | expert | rows | rows/s | fill of batches |", "|---|---|---|---|---|"]
    for r in results:
        for name, rows in r.rows.items():
            fill = f"{r.fill[name]:.0%}" if name in r.fill else ""
            lines.append(f"| {r.preset} | {name} | {rows} | {rows / r.wall.seconds:.1f} | {fill} |")
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
            names, options = chosen_experts(preset, chosen.experts, parse_assignments(chosen.set))
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
