"""The command line: ``python -m extract --videos DIR --out DIR``, and what looks after a store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from extract.errors import MarqueeError, UsageError
from extract.registry import expert_names, with_upstream
from extract.terminal import Commands, console, run_app, show_error
from extract.weights.files import MissingWeights
from pipeline.cli import reports
from pipeline.cli.display import show
from pipeline.cli.prepare_display import print_report
from pipeline.cli.prepare_display import show as show_prepare
from pipeline.copies.ffmpeg import checked_recipe
from pipeline.copies.prepare import PrepareConfig, PrepareProgress
from pipeline.copies.prepare import prepare as prepare_copies
from pipeline.settings import (
    checked_folder,
    choose,
    parse_assignments,
    parse_bytes,
    parse_seconds,
    preset_names,
    read_config,
)
from pipeline.storage.location import Location, location
from pipeline.work.config import Cluster, RunConfig
from pipeline.work.progress import RunProgress
from pipeline.work.run import run_config

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A folder of videos to aligned multimodal features in Parquet.",
)
CHOICES: dict[str, tuple[str, ...]] = {
    "precision": ("float32", "float16", "bfloat16"),
    "dtype": ("float16", "float32"),
}

Weights = Annotated[Path | None, typer.Option(help="Folder with published checkpoints.")]
PresetName = Annotated[str | None, typer.Option(help=f"One of: {', '.join(preset_names())}. Default: all.")]
Names = Annotated[str | None, typer.Option(help="Experts, comma-separated; upstream ones are added.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="EXPERT.OPTION=VALUE; may be repeated.")]


@app.callback(invoke_without_command=True)
def extract(
    context: typer.Context,
    videos: Annotated[str | None, typer.Option(help="Folder of videos, or one video; or s3://...")] = None,
    out: Annotated[str | None, typer.Option(help="Feature store, new or to go on with; or s3://...")] = None,
    preset: PresetName = None,
    experts: Names = None,
    detector: Annotated[str | None, typer.Option(help="Shot detector: short for scenes.detector.")] = None,
    set_: Set = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda:N. Default: auto.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, float16 or bfloat16.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Of stored vectors: float16 or float32.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Default: 16, on a GPU 64.")] = None,
    shard_size: Annotated[int | None, typer.Option(help="Videos in a new shard. Default: 64.")] = None,
    decoders: Annotated[int | None, typer.Option(help="Decoder processes; default: the cores.")] = None,
    weights: Weights = None,
    random_weights: Annotated[
        int | None, typer.Option(metavar="SEED", help="Draw all weights from a seed: dry runs, benchmarks.")
    ] = None,
    keep_flow: Annotated[
        str | None, typer.Option(metavar="DIR", help="Also keep the flow as JPEGs: flow.keep_flow.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes on this machine, by Dask. Default: 0, none.")
    ] = None,
    gpus: Annotated[str | None, typer.Option(help="all, or 0,1,...: a worker for each GPU, by Dask.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask scheduler, tcp://HOST:PORT. Default: MARQUEE_SCHEDULER, if set.")
    ] = None,
    worker_lifetime: Annotated[str | None, typer.Option(help="Start workers anew after, say, 2h.")] = None,
    worker_memory: Annotated[str | None, typer.Option(help="And beyond, say, 8G of memory.")] = None,
    retry_failed: Annotated[bool | None, typer.Option("--retry-failed", help="Try failures again.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file with these names; flags win.")] = None,
) -> None:
    """Extract features from all videos of a folder; run it again to go on."""
    if context.invoked_subcommand is not None:
        return
    given = {name.rstrip("_"): value for name, value in context.params.items()}
    del given["config"], given["dry_run"]
    merged = read_config(config) if config is not None else {}
    merged |= {name: value for name, value in given.items() if value is not None}
    screen = console()
    plan = _run_config(merged)
    if dry_run:
        reports.print_plan(plan, screen)
        return
    if plan.random_seed is not None:
        screen.print(
            f"[bold red]RANDOM WEIGHTS (seed {plan.random_seed}): the features mean nothing.[/] "
            "They are marked in every shard.",
        )
    progress = RunProgress()
    with show(progress, screen):
        report = run_config(plan, progress)
    for warning in progress.warnings:
        screen.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    reports.print_run(report, progress, screen)
    if keep_flow and not progress.expert_videos["flow"]:
        screen.print("flow was stored already, so no pictures were written; a new store has them written")
    raise typer.Exit(report.exit_status)


@app.command()
def weights(
    preset: PresetName = None,
    experts: Names = None,
    set_: Set = None,
    weights: Weights = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Download what is missing.")] = False,
) -> None:
    """List the checkpoints that experts need; check their hashes; fetch what is missing."""
    names, options = choose(preset=preset, experts=_names(experts), layers=[parse_assignments(set_ or [])])
    if not reports.print_weights(names, options, weights, fetch=fetch, console=console()):
        raise typer.Exit(1)


@app.command()
def status(out: Annotated[str, typer.Argument(help="Feature store.")]) -> None:
    """How far a store is: videos and rows by expert, failures."""
    reports.print_status(location(out), console())


@app.command()
def verify(out: Annotated[str, typer.Argument(help="Feature store.")]) -> None:
    """Recount every shard against its footer; exit status 1 if something is wrong."""
    if not reports.print_verify(location(out), console()):
        raise typer.Exit(1)


@app.command()
def prepare(
    videos: Annotated[Path, typer.Option(help="Folder of videos, or one video.")],
    out: Annotated[Path, typer.Option(help="Folder of copies, new or to go on with.")],
    recipe: Annotated[str, typer.Option(help="How Sulun et al. 2024 encode: paper or code.")] = "paper",
    jobs: Annotated[int | None, typer.Option(help="Copies at a time. Default: half the cores.")] = None,
) -> None:
    """Make small copies (x265, Opus) on the same time line; run it again to go on. Needs ffmpeg."""
    progress, screen = PrepareProgress(), console()
    with show_prepare(progress, screen):
        report = prepare_copies(PrepareConfig(videos, out, checked_recipe(recipe), jobs), progress)
    print_report(report, screen)
    raise typer.Exit(report.exit_status)


@app.command()
def doctor(weights: Weights = None) -> None:
    """What is installed, which experts can run, and what mends the others."""
    if not reports.print_doctor(weights, console()):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; an error is one line on standard error, exit status 2."""
    run_app(app, "python -m extract", kept="what was written is kept", show=_show_error)


def _show_error(error: MarqueeError) -> None:
    if isinstance(error, MissingWeights):
        reports.print_missing(error, console(stderr=True))
    else:
        show_error(error)


def _names(text: str | list[str] | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in (text if isinstance(text, list) else text.split(","))]
    if not any(names):
        raise UsageError(f"--experts {text!r} names none; there are {', '.join(expert_names())}")
    return [name for name in names if name]


def _run_config(merged: dict[str, Any]) -> RunConfig:
    """The run that the flags and the file ask for. Raises UsageError for what cannot be."""
    assignments = merged.get("set", [])
    flags = parse_assignments([assignments] if isinstance(assignments, str) else assignments)
    if merged.get("detector"):
        flags.setdefault("scenes", {})["detector"] = merged["detector"]
    if merged.get("keep_flow"):
        flags.setdefault("flow", {})["keep_flow"] = _keep_flow(merged["keep_flow"])
    names, options = choose(
        preset=merged.get("preset"),
        experts=_names(merged.get("experts")),
        layers=[merged.get("options", {}), flags],
    )
    if merged.get("keep_flow") and "flow" not in with_upstream(names):
        raise UsageError("--keep-flow needs the expert flow: add it to --experts")
    for name in ("batch_size", "shard_size", "decoders"):
        value = merged.get(name)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise UsageError(f"--{name.replace('_', '-')} is {value!r}; a positive whole number is needed")
    for name, allowed in CHOICES.items():
        if merged.get(name, allowed[0]) not in allowed:
            raise UsageError(f"--{name} is {merged[name]!r}; allowed: {', '.join(allowed)}")
    out = merged.get("out")
    if out is None:
        raise UsageError("--out is missing: give --out FOLDER, a new folder or a store to go on with")
    return RunConfig(
        videos=_videos(merged.get("videos")),
        out=location(out),
        experts=names,
        options=options,
        weights=None if merged.get("weights") is None else Path(merged["weights"]),
        random_seed=merged.get("random_weights"),
        device=merged.get("device", "auto"),
        precision=merged.get("precision", "float32"),
        dtype=merged.get("dtype", "float16"),
        shard_size=merged.get("shard_size", 64),
        retry_failed=bool(merged.get("retry_failed", False)),
        batch_size=merged.get("batch_size"),
        decoders=merged.get("decoders"),
        cluster=_cluster(merged),
    )


def _keep_flow(text: str) -> str:
    """The folder for pictures of flow, the same wherever a worker runs."""
    folder = location(text)
    if not isinstance(folder, Path) or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"--keep-flow {text!r} is not a folder: give a new or existing one on a local disk")
    return str(folder.resolve())


def _videos(text: str | None) -> Location:
    videos = None if text is None else location(text)
    return checked_folder(videos, "--videos") if videos is None or isinstance(videos, Path) else videos


def _cluster(merged: dict[str, Any]) -> Cluster:
    lifetime, memory = merged.get("worker_lifetime"), merged.get("worker_memory")
    said = any(merged.get(name) is not None for name in ("workers", "gpus", "scheduler"))
    return Cluster(
        workers=merged.get("workers") or 0,
        gpus=merged.get("gpus"),
        scheduler=merged.get("scheduler") if said else os.environ.get("MARQUEE_SCHEDULER") or None,
        worker_lifetime_seconds=None if lifetime is None else parse_seconds(lifetime, "--worker-lifetime"),
        worker_memory_bytes=None if memory is None else parse_bytes(memory, "--worker-memory"),
    )
