"""The command line: ``python -m extract --videos DIR --out DIR``, and what looks after a store."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from extract.errors import UsageError, command, did_you_mean
from extract.options import Decode, DetectorName, Dtype, Precision
from extract.terminal import Commands, command_line, console, print_next, run_app
from pipeline.copies.recipe_name import RecipeName
from pipeline.settings import choose, parse_assignments, preset_names
from pipeline.storage.location import location


class ExtractCommands(Commands):
    """Take ``extract film.mp4`` for ``extract --videos film.mp4``; a command's own name goes first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As every group, after a lone path has got its flag."""
        rest = [] if ctx.resilient_parsing else self._not_flags(ctx, args)
        if rest and rest[0] not in self.commands:
            args = [*args[: len(args) - len(rest)], "--videos", *rest]
            if not _is_path(rest[0]):
                near = did_you_mean(rest[0], [*self.commands, *glob.glob("*")])
                raise UsageError(
                    f"there is no command, file or folder {rest[0]!r}{near}; "
                    f"{ctx.command_path} --help lists the commands"
                )
            more = self._not_flags(ctx, args)
            if more and more[0] not in self.commands:
                raise UsageError(
                    f"{rest[0]!r} and {more[0]!r}: one video can be given, or the folder that has them all"
                )
        return super().parse_args(ctx, args)

    def _not_flags(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments from the first on that is neither a flag nor a flag's value."""
        rest: list[str] = self.make_parser(ctx).parse_args(args=list(args))[1]
        return rest


def _is_path(text: str) -> bool:
    return os.path.lexists(text) or "/" in text or "." in text


app = command_line(
    ExtractCommands,
    help="Extract aligned multimodal features from a folder of videos into Parquet.",
    subcommand_metavar="[VIDEOS | COMMAND [ARGS]...]",
)
Store = Annotated[
    str | None,
    typer.Option(
        help="Feature store, new, or existing: continued as it was made, unless flags say otherwise; or "
        "s3://... Default: features."
    ),
]
Weights = Annotated[Path | None, typer.Option(help="Folder with published checkpoints.")]
PresetName = Annotated[
    str | None,
    typer.Option(autocompletion=preset_names, help=f"One of: {', '.join(preset_names())}. Default: all."),
]
Names = Annotated[
    str | None,
    typer.Option(help="Experts, comma-separated, or +NAME to add to the preset; upstream ones are added."),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="EXPERT.OPTION=VALUE", help="May be repeated.")
]
RandomWeights = Annotated[
    int | None, typer.Option(metavar="SEED", help="Draw random weights from this seed: for tests.")
]
PrecisionName = Annotated[
    Precision | None, typer.Option(help="Of networks. Default: the store's, else bfloat16 on a GPU.")
]
QueueMemory = Annotated[
    str | None, typer.Option(help="For items that wait for models, e.g. 4G. Default: 1/8 of the memory.")
]
Certificates = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Folder of the certificates. Default: MARQUEE_CERTIFICATES, if set."),
]


@app.callback(invoke_without_command=True)
def extract(
    context: typer.Context,
    videos: Annotated[str | None, typer.Option(help="Folder of videos, or one video; or s3://...")] = None,
    out: Store = None,
    preset: PresetName = None,
    experts: Names = None,
    detector: Annotated[
        DetectorName | None, typer.Option(help="Shot detector; same as --set scenes.detector=NAME.")
    ] = None,
    set_: Set = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N. Default: auto.")] = None,
    precision: PrecisionName = None,
    dtype: Annotated[Dtype | None, typer.Option(help="Type of stored vectors. Default: float16.")] = None,
    decode: Annotated[
        Decode | None, typer.Option(help="cuda: pictures are decoded by the GPU. Default: cpu.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Items per batch. Default: 16, on a GPU 64.")] = None,
    shard_size: Annotated[int | None, typer.Option(help="Videos in a new shard. Default: 64.")] = None,
    decoders: Annotated[
        int | None, typer.Option(help="Processes. Default: one per core, at most 16.")
    ] = None,
    queue_memory: QueueMemory = None,
    weights: Weights = None,
    random_weights: RandomWeights = None,
    keep_flow: Annotated[
        str | None, typer.Option(metavar="DIR", help="Also keep the flow as JPEGs, in this folder.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Dask workers on this machine. Default: 0.")] = None,
    gpus: Annotated[str | None, typer.Option(help="all, or 0,2-3: a Dask worker for each GPU.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Dask scheduler, tls://HOST:PORT. Default: MARQUEE_SCHEDULER, if set.")
    ] = None,
    certificates: Certificates = None,
    worker_lifetime: Annotated[str | None, typer.Option(help="Age to restart a worker at, e.g. 2h.")] = None,
    worker_memory: Annotated[str | None, typer.Option(help="Memory to restart a worker at, e.g. 8G.")] = None,
    retry_failed: Annotated[bool | None, typer.Option("--retry-failed", help="Try failures again.")] = None,
    new_root: Annotated[
        bool | None, typer.Option("--new-root", help="The store's videos have moved to this folder.")
    ] = None,
    replace_changed: Annotated[
        bool | None,
        typer.Option("--replace-changed", help="Extract changed files again, drop their old rows."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and stop.")] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Try a few videos, tell time and size.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what each part of it does too.")] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file; flags take precedence.")] = None,
) -> None:
    """Extract features from all videos of a folder; run it again to resume."""
    if context.invoked_subcommand is not None:
        return
    from pipeline.cli.reports import Only, extract_asked

    own = ("config", "dry_run", "estimate", "verbose")
    given = {n.rstrip("_"): v for n, v in context.params.items() if n not in own and v is not None}
    only: Only | None = "dry run" if dry_run else "estimate" if estimate else None
    raise typer.Exit(extract_asked(given, config, console(), only=only, verbose=verbose))


@app.command()
def weights(
    preset: PresetName = None,
    experts: Names = None,
    set_: Set = None,
    weights: Weights = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Download what is missing.")] = False,
) -> None:
    """List the checkpoints that experts need; check their hashes; fetch what is missing."""
    from pipeline.cli.config import names_in
    from pipeline.cli.machine_reports import print_weights

    names, options = choose(preset=preset, experts=names_in(experts), layers=[parse_assignments(set_ or [])])
    if not print_weights(names, options, weights, fetch=fetch, console=console()):
        raise typer.Exit(1)


@app.command()
def status(out: Annotated[str, typer.Argument(help="Feature store.")]) -> None:
    """Show the progress of a store: videos and rows by expert, failures."""
    from pipeline.cli.store_reports import print_status

    print_status(location(out), console())


@app.command()
def describe(
    out: Annotated[
        str | None, typer.Argument(help="Feature store; without one, what all experts make.")
    ] = None,
    table: Annotated[str | None, typer.Argument(help="One of its tables. Default: all.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As a document.")] = False,
) -> None:
    """Explain every table and column of a store: meaning, unit, shape, source and count."""
    from pipeline.cli.about_reports import print_description

    place = None if out is None else location(out)
    print_description(place, table, console(), markdown=markdown)


@app.command()
def cite(out: Annotated[str, typer.Argument(help="Feature store.")]) -> None:
    """Print BibTeX of the networks, papers and libraries behind a store, and its weights' licences."""
    from pipeline.cli.about_reports import print_citations

    print_citations(location(out), console())


@app.command()
def summary(
    store: Annotated[str, typer.Argument(help="Feature store.")],
    out: Annotated[Path | None, typer.Option(help="Also write a row for each video: .csv.")] = None,
) -> None:
    """Sum up a store: shots, speech, text, silence, languages, brightness, motion, outliers."""
    from pipeline.cli.about_reports import print_summary

    print_summary(location(store), out, console())


@app.command()
def verify(
    out: Annotated[str, typer.Argument(help="Feature store.")],
    count: Annotated[
        int | None, typer.Option("--recompute", metavar="N", help="Also extract N videos again and compare.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed for drawing the N videos. Default: a new one.")
    ] = None,
    videos: Annotated[
        str | None, typer.Option(help="Where the videos are now. Default: where the last run found them.")
    ] = None,
    weights: Weights = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N. Default: auto.")] = None,
) -> None:
    """Check every shard in full; exit status 1 if something is wrong."""
    from pipeline.cli.store_reports import print_verify

    place, screen = location(out), console()
    given: dict[str, Any] = {"seed": seed, "videos": videos, "weights": weights, "device": device}
    given = {name: value for name, value in given.items() if value is not None}
    if count is None and given:
        raise UsageError(f"--{next(iter(given))} is for --recompute: give --recompute N too")
    if count is None:
        sound = print_verify(place, screen)
    else:
        from pipeline.cli.recompute_display import print_recompute
        from pipeline.recompute.recompute import Recompute

        settings = Recompute(count=count, **given)
        sound = all([print_verify(place, screen), print_recompute(place, settings, screen)])
    if sound:
        print_next(screen, command("report", place, "--out", "pages"))
    raise typer.Exit(0 if sound else 1)


@app.command()
def remove(
    out: Annotated[str, typer.Argument(help="Feature store.")],
    ids: Annotated[
        list[str] | None,
        typer.Argument(help="video_id, path, or a pattern such as 'old/*'; may be repeated."),
    ] = None,
    ids_from: Annotated[Path | None, typer.Option(help="File with one of these per line.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Let the next run add them again.")] = False,
) -> None:
    """Remove videos and all their rows from a store; later runs skip their files."""
    from pipeline.cli.config import names_of_videos
    from pipeline.cli.store_reports import print_removal

    print_removal(location(out), names_of_videos(ids or (), ids_from), undo=undo, console=console())


@app.command()
def prepare(
    videos: Annotated[Path, typer.Option(help="Folder of videos, or one video.")],
    out: Annotated[Path, typer.Option(help="Folder of copies, new, or existing to resume.")],
    recipe: Annotated[
        RecipeName, typer.Option(help="How Sulun et al. 2024 encode: as in their paper or code.")
    ] = "paper",
    jobs: Annotated[int | None, typer.Option(help="Copies at a time. Default: half the cores.")] = None,
) -> None:
    """Make small copies (x265, Opus) with the same timestamps; run it again to resume. Needs ffmpeg."""
    from pipeline.cli.prepare_display import prepare_and_report
    from pipeline.copies.prepare import PrepareConfig

    raise typer.Exit(prepare_and_report(PrepareConfig(videos, out, recipe, jobs), console()))


@app.command("cluster-certificates")
def cluster_certificates(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="New or empty folder.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days until they expire.")] = 365,
) -> None:
    """Make certificates that protect a Dask cluster from anyone without them."""
    from pipeline.cli.machine_reports import print_certificates

    print_certificates(location(folder, "DIR"), days, console())


@app.command()
def doctor(weights: Weights = None) -> None:
    """Show what is installed, which experts can run, and how to fix the others."""
    from pipeline.cli.machine_reports import print_doctor

    if not print_doctor(weights, console()):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; an error is one line on standard error, exit status 2."""
    run_app(app, "python -m extract", kept="what was written is kept")
