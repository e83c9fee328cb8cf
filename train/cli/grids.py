"""The commands that train many models: a paper's grid, and a search for good options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from extract.errors import again, command, count
from extract.terminal import console, make_table, print_next, print_open
from train.cli.label_flags import LabelFlags, flattened
from train.cli.options import (
    AllowRandom,
    Device,
    Experts,
    Features,
    LabelFile,
    Model,
    Precision,
    Preset,
    Set,
    given,
    log_on,
    names_in,
    numbers_in,
    set_options,
)
from train.comparison.paper import DEFAULT_PAPER, paper_names

Workers = Annotated[int, typer.Option(help="Processes on this machine, a training each; 0: none.")]
GpuNames = Annotated[str | None, typer.Option(help="all, or 0,2-3,...: a process on each GPU.")]
Scheduler = Annotated[str | None, typer.Option(help="A running Dask scheduler, tls://HOST:PORT.")]
Certificates = Annotated[Path | None, typer.Option(help="Folder with those of the scheduler.")]


@dataclass(frozen=True)
class ComputeFlags:
    """What trainings are computed on, and how exactly: what the commands share."""

    device: Device = "auto"
    gpus: GpuNames = None
    workers: Workers = 0
    scheduler: Scheduler = None
    certificates: Certificates = None
    precision: Precision = "float32"

    def arguments(self) -> dict[str, Any]:
        """As arguments of the functions of ``train.api``."""
        from train.runs.workers import Cluster

        cluster = Cluster(self.workers, self.gpus, self.scheduler, self.certificates)
        return {"device": self.device, "precision": self.precision, "cluster": cluster}


def add_to(app: typer.Typer) -> None:
    app.command("compare")(run_comparison)
    app.command("search")(run_search)


@flattened
def run_comparison(
    out: Annotated[Path, typer.Option(help="Folder of the report, new, or existing to resume.")],
    features: Features = None,
    labels: LabelFile = None,
    paper: Annotated[str, typer.Option(help=f"Whose tables: {', '.join(paper_names())}.")] = DEFAULT_PAPER,
    preset: Preset = None,
    experts: Experts = None,
    models: Annotated[str | None, typer.Option(help="Comma-separated. Default: the paper's.")] = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated: a training for each.")] = "0,1,2",
    tables: Annotated[str | None, typer.Option(help="Comma-separated. Default: all of the paper.")] = None,
    steps: Annotated[str | None, typer.Option(help="Numbers of steps of the last table.")] = None,
    label_flags: LabelFlags = LabelFlags(),  # noqa: B008  # it is frozen
    set_: Set = None,
    compute_flags: ComputeFlags = ComputeFlags(),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the trainings, and train none.")] = False,
    allow_random_weights: AllowRandom = False,
) -> None:
    """Train a grid of experts, models and seeds, and make a paper's tables from it."""
    from train.api import compare, planned

    asked: dict[str, Any] = {
        "paper": paper,
        "preset": preset,
        "experts": names_in(experts),
        "models": names_in(models),
        "seeds": numbers_in(seeds, "--seeds", int),
        "tables": names_in(tables),
        "steps": numbers_in(steps or "", "--steps", int),
        "options": set_options(label_flags.options(), set_),
        **compute_flags.arguments(),
        "allow_random_weights": allow_random_weights,
    }
    where = out, given(features, "--features STORE"), given(labels, "--labels FILE")
    screen = console()
    if not dry_run:
        report = compare(*where, **asked, log=log_on(screen))
        print_open(screen, report)
        return
    found = planned(*where, **asked)
    for cell, state in found:
        screen.print(f"{cell.label}{', ' if state else ''}{state}", markup=False, soft_wrap=True)
    done = sum(state == "done" for _, state in found)
    screen.print(f"{count(len(found), 'training')}, {done} of them done", markup=False)
    print_next(screen, again(without="--dry-run"))


@flattened
def run_search(
    out: Annotated[Path, typer.Option(help="Folder of the search, new, or existing to resume.")],
    features: Features = None,
    labels: LabelFile = None,
    try_: Annotated[
        list[str] | None,
        typer.Option("--try", help="SECTION.OPTION=LOW..HIGH[:log] or =A,B,C; several times."),
    ] = None,
    sampler: Annotated[str, typer.Option(help="tpe, random or grid.")] = "tpe",
    trials: Annotated[int | None, typer.Option(help="Trainings at most. Default: 20; a grid: all.")] = None,
    figure: Annotated[str, typer.Option(help="Of the validation split, to be high.")] = "ap_macro",
    search_seed: Annotated[int, typer.Option(help="Seed of the sampler.")] = 0,
    preset: Preset = None,
    model: Model = None,
    experts: Experts = None,
    label_flags: LabelFlags = LabelFlags(),  # noqa: B008  # it is frozen
    set_: Set = None,
    compute_flags: ComputeFlags = ComputeFlags(),
    allow_random_weights: AllowRandom = False,
) -> None:
    """Search for good options on the validation split; run it again to resume."""
    from train.api import search

    screen = console()
    found = search(
        out,
        given(features, "--features STORE"),
        given(labels, "--labels FILE"),
        space=try_ or [],
        sampler=sampler,
        trials=trials,
        figure=figure,
        seed=search_seed,
        preset=preset,
        model=model,
        experts=names_in(experts),
        options=set_options(label_flags.options(), set_),
        **compute_flags.arguments(),
        allow_random_weights=allow_random_weights,
        log=log_on(screen),
    )
    table = make_table("trial", figure, "options")
    for tried in found[:10]:
        reached = tried.error if tried.reached is None else f"{tried.reached:.4f}"
        table.add_row(str(tried.place), reached, " ".join(tried.assignments))
    screen.print(table, markup=False)
    best = " ".join(f"--set {text}" for text in found[0].assignments)
    screen.print(f"best: {best} ({found[0].run})", markup=False, soft_wrap=True)
    print_next(screen, command("train", "evaluate", "--run", found[0].run))
