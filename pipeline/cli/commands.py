"""The command line: ``python -m extract --videos DIR --out DIR``, and what looks after a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from extract.errors import MarqueeError, UsageError
from extract.experts.scenes import DetectorName
from extract.tables import Dtype
from extract.terminal import Commands, console, run_app, show_error
from extract.types import Precision
from extract.weights.files import MissingWeights
from pipeline.cli import reports
from pipeline.cli.config import config_of, names_in, names_of_videos, read_config
from pipeline.cli.display import show
from pipeline.cli.prepare_display import print_report
from pipeline.cli.prepare_display import show as show_prepare
from pipeline.cli.recompute_display import print_recompute
from pipeline.copies.ffmpeg import RecipeName
from pipeline.copies.prepare import PrepareConfig, PrepareProgress
from pipeline.copies.prepare import prepare as prepare_copies
from pipeline.recompute.recompute import Recompute
from pipeline.settings import choose, parse_assignments, preset_names
from pipeline.storage.location import location
from pipeline.work.config import RunConfig
from pipeline.work.progress import RunProgress
from pipeline.work.run import run_config

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A folder of videos to aligned multimodal features in Parquet.",
)
Weights = Annotated[Path | None, typer.Option(help="Folder with published checkpoints.")]
PresetName = Annotated[str | None, typer.Option(help=f"One of: {', '.join(preset_names())}. Default: all.")]
Names = Annotated[str | None, typer.Option(help="Experts, comma-separated; upstream ones are added.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="EXPERT.OPTION=VALUE; repeatable.")]
Certificates = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="What cluster-certificates made. Default: MARQUEE_CERTIFICATES, if set."
    ),
]


@app.callback(invoke_without_command=True)
def extract(
    context: typer.Context,
    videos: Annotated[str | None, typer.Option(help="Folder of videos, or one video; or s3://...")] = None,
    out: Annotated[
        str | None, typer.Option(help="Feature store, new, or existing to resume; or s3://...")
    ] = None,
    preset: PresetName = None,
    experts: Names = None,
    detector: Annotated[
        DetectorName | None, typer.Option(help="Shot detector: short for --set scenes.detector=....")
    ] = None,
    set_: Set = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N. Default: auto.")] = None,
    precision: Annotated[Precision | None, typer.Option(help="Of the networks. Default: float32.")] = None,
    dtype: Annotated[Dtype | None, typer.Option(help="Of stored vectors. Default: float16.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Of the models. Default: 16, on a GPU 64.")] = None,
    shard_size: Annotated[int | None, typer.Option(help="Videos in a new shard. Default: 64.")] = None,
    decoders: Annotated[int | None, typer.Option(help="Processes. Default: the cores, at most 16.")] = None,
    weights: Weights = None,
    random_weights: Annotated[
        int | None, typer.Option(metavar="SEED", help="Draw all weights from a seed: for tests.")
    ] = None,
    keep_flow: Annotated[
        str | None, typer.Option(metavar="DIR", help="Also keep the flow as JPEGs, in this folder.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes on this machine, by Dask. Default: 0, none.")
    ] = None,
    gpus: Annotated[str | None, typer.Option(help="all, or 0,1,...: a worker for each GPU, by Dask.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask scheduler, tls://HOST:PORT. Default: MARQUEE_SCHEDULER, if set.")
    ] = None,
    certificates: Certificates = None,
    worker_lifetime: Annotated[str | None, typer.Option(help="Restart workers older than, say, 2h.")] = None,
    worker_memory: Annotated[str | None, typer.Option(help="Restart those larger than, say, 8G.")] = None,
    retry_failed: Annotated[bool | None, typer.Option("--retry-failed", help="Try failures again.")] = None,
    new_root: Annotated[
        bool | None, typer.Option("--new-root", help="The store's videos are in this folder now; ids stay.")
    ] = None,
    replace_changed: Annotated[
        bool | None,
        typer.Option("--replace-changed", help="Extract changed files again, drop their old rows."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and stop.")] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file with these names; flags win.")] = None,
) -> None:
    """Extract features from all videos of a folder; run it again to resume."""
    if context.invoked_subcommand is not None:
        return
    given = {name.rstrip("_"): value for name, value in context.params.items()}
    del given["config"], given["dry_run"]
    merged = read_config(config) if config is not None else {}
    merged |= {name: value for name, value in given.items() if value is not None}
    screen = console()
    plan = config_of(merged)
    if dry_run:
        reports.print_plan(plan, screen)
        return
    raise typer.Exit(_run(plan, screen))


@app.command()
def weights(
    preset: PresetName = None,
    experts: Names = None,
    set_: Set = None,
    weights: Weights = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Download what is missing.")] = False,
) -> None:
    """List the checkpoints that experts need; check their hashes; fetch what is missing."""
    names, options = choose(preset=preset, experts=names_in(experts), layers=[parse_assignments(set_ or [])])
    if not reports.print_weights(names, options, weights, fetch=fetch, console=console()):
        raise typer.Exit(1)


@app.command()
def status(out: Annotated[str, typer.Argument(help="Feature store.")]) -> None:
    """How far a store is: videos and rows by expert, failures."""
    reports.print_status(location(out), console())


@app.command()
def verify(
    out: Annotated[str, typer.Argument(help="Feature store.")],
    count: Annotated[
        int | None, typer.Option("--recompute", metavar="N", help="Also extract N videos again and compare.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draw of the N videos. Default: a new one.")] = None,
    videos: Annotated[
        str | None, typer.Option(help="Where the videos are now. Default: where the last run found them.")
    ] = None,
    weights: Weights = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N. Default: auto.")] = None,
) -> None:
    """Recount every shard against its footer; exit status 1 if something is wrong."""
    place, screen = location(out), console()
    given: dict[str, Any] = {"seed": seed, "videos": videos, "weights": weights, "device": device}
    given = {name: value for name, value in given.items() if value is not None}
    if count is None and given:
        raise UsageError(f"--{next(iter(given))} is for --recompute: give --recompute N too")
    settings = None if count is None else Recompute(count=count, **given)
    sound = reports.print_verify(place, screen)
    if settings is not None:
        sound = print_recompute(place, settings, screen) and sound
    if not sound:
        raise typer.Exit(1)


@app.command()
def remove(
    out: Annotated[str, typer.Argument(help="Feature store.")],
    ids: Annotated[
        list[str] | None, typer.Argument(help="video_id, path, or a pattern such as 'old/*'; several.")
    ] = None,
    ids_from: Annotated[Path | None, typer.Option(help="File with one of them a line.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Let the next run take them in again.")] = False,
) -> None:
    """Take videos out of a store: all their rows; later runs leave their files alone."""
    reports.print_removal(location(out), names_of_videos(ids or (), ids_from), undo=undo, console=console())


@app.command()
def prepare(
    videos: Annotated[Path, typer.Option(help="Folder of videos, or one video.")],
    out: Annotated[Path, typer.Option(help="Folder of copies, new, or existing to resume.")],
    recipe: Annotated[RecipeName, typer.Option(help="How Sulun et al. 2024 encode.")] = "paper",
    jobs: Annotated[int | None, typer.Option(help="Copies at a time. Default: half the cores.")] = None,
) -> None:
    """Make small copies (x265, Opus) on the same time line; run it again to resume. Needs ffmpeg."""
    progress, screen = PrepareProgress(), console()
    with show_prepare(progress, screen):
        report = prepare_copies(PrepareConfig(videos, out, recipe, jobs), progress)
    print_report(report, screen)
    raise typer.Exit(report.exit_status)


@app.command("cluster-certificates")
def cluster_certificates(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="New or empty folder.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Of validity.")] = 365,
) -> None:
    """Make certificates that close a Dask cluster to everybody who does not hold them."""
    reports.print_certificates(location(folder, "DIR"), days, console())


@app.command()
def doctor(weights: Weights = None) -> None:
    """What is installed, which experts can run, and how to fix the others."""
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


def _run(plan: RunConfig, screen: Console) -> int:
    """Extract, show how far it is, and say what came of it; the exit status."""
    if plan.random_seed is not None:
        screen.print(
            f"[bold red]RANDOM WEIGHTS (seed {plan.random_seed}): the features mean nothing.[/] "
            "They are marked in every shard.",
        )
    if plan.cluster.is_open:
        _warn(
            f"{plan.cluster.scheduler} is open: whoever reaches that port can run code as you, there and on "
            "all workers; docs/cluster.md says how to close it (tls:// and --certificates)",
            screen,
        )
    progress = RunProgress()
    with show(progress, screen):
        report = run_config(plan, progress)
    for warning in progress.warnings:
        _warn(warning, screen)
    reports.print_run(report, progress, screen)
    if "keep_flow" in plan.options.get("flow", {}) and not progress.expert_videos["flow"]:
        screen.print("flow was stored already, so no pictures were written; a new store has them written")
    return report.exit_status


def _warn(text: str, screen: Console) -> None:
    screen.print(f"warning: {text}", style="yellow", markup=False, soft_wrap=True)
