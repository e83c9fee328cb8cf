"""What a run shows, on the command line: ``map``, ``scenes``, ``relabel``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from extract.errors import clock, command, count
from extract.terminal import console, make_table, print_next, print_open
from pipeline.storage.location import location
from pipeline.storage.names import check_suffix
from train.cli.options import (
    AllowRandom,
    Column,
    Device,
    LabelFile,
    Precision,
    Run,
    Store,
    log_on,
    names_in,
)
from train.runs.run_folder import RunFolder
from train.settings import Hardware
from train.views.files import SUFFIXES


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("map")(show_map)
    app.command("scenes")(show_scenes)
    app.command("relabel")(relabel)


def show_map(
    run: Run,
    features: Store,
    out: Annotated[
        list[Path],
        typer.Option(help="Name in .html (an .svg is written beside), .svg or .csv; may be repeated."),
    ],
    labels: LabelFile = None,
    id_column: Column = None,
    genres_column: Column = None,
    methods: Annotated[str, typer.Option(help="Comma-separated: tsne, umap.")] = "tsne,umap",
    split: Annotated[str | None, typer.Option(help="train, validation or test. Default: all videos.")] = None,
    neighbours: Annotated[
        int | None, typer.Option(help="t-SNE's perplexity (30), UMAP's neighbours (15).")
    ] = None,
    most_videos: Annotated[int, typer.Option(help="Maximum number of videos shown.")] = 10_000,
    threshold: Annotated[
        float, typer.Option(help="Lowest score at which a genre is shown without a label.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(help="Seed of the sample and the projections.")] = 0,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Show thumbnails, where the store has them.")
    ] = True,
    device: Device = "auto",
    precision: Precision = "float32",
    allow_random_weights: AllowRandom = False,
) -> None:
    """Plot a store's videos in a run's embedding space (t-SNE, UMAP), as a page and as a picture."""
    from train.labels.table import LabelColumns, read_labels
    from train.views.space import MapOptions, map_of

    for path in out:
        check_suffix(path, *SUFFIXES)
    folder, screen = RunFolder(run), console()
    log, known = log_on(screen), None
    if labels is not None:
        asked = LabelColumns(id_column, genres_column)
        known = read_labels(labels, asked, vocabulary=folder.config()["genres"])
        for note in known.notes:
            log(note)
    shown = pictures and any(path.suffix == ".html" for path in out)
    found = map_of(
        folder,
        location(features),
        labels=known,
        options=MapOptions(tuple(names_in(methods)), neighbours, split, most_videos, threshold, seed, shown),
        hardware=Hardware(device=device, precision=precision),
        allow_random_weights=allow_random_weights,
        log=log,
    )
    beside = [path.with_suffix(".svg") for path in out if path.suffix == ".html"]
    for path in dict.fromkeys([*out, *beside]):
        found.write(path)
        log(f"{count(len(found.ids), 'video')} in {path}")
    _open_pages(screen, out)


def show_scenes(
    video: Annotated[str, typer.Argument(help="The video's id in the store.")],
    run: Run,
    features: Store,
    out: Annotated[
        list[Path] | None, typer.Option(help="Also write it: a name in .html, .svg or .csv; may be repeated.")
    ] = None,
    sequences: Annotated[
        bool,
        typer.Option("--sequences", help="Of every sequence of shots, by a run of fish2021/per-sequence."),
    ] = False,
    threshold: Annotated[float, typer.Option(help="Lowest score at which a genre is named.")] = 0.5,
    device: Device = "auto",
    precision: Precision = "float32",
    allow_random_weights: AllowRandom = False,
) -> None:
    """Predict the genres of every shot of a video, over time."""
    from train.views.scenes import SceneScorer

    for path in out or ():
        check_suffix(path, *SUFFIXES)
    scorer = SceneScorer(
        RunFolder(run),
        location(features),
        hardware=Hardware(device=device, precision=precision),
        allow_random_weights=allow_random_weights,
    )
    found = scorer.sequences(video) if sequences else scorer.shots(video)
    what = "sequence" if sequences else "scene"
    screen, table = console(), make_table(what, "from", "to", "genres")
    times = zip(found.start_seconds.tolist(), found.end_seconds.tolist(), strict=True)
    for shot, ((start, end), genres) in enumerate(zip(times, found.best(threshold), strict=True)):
        named = ", ".join(f"{genre} {score:.2f}" for genre, score in genres)
        table.add_row(str(shot), clock(start, 1), clock(end, 1), named or "nothing there")
    screen.print(table, markup=False)
    for path in out or ():
        found.write(path, threshold)
        log_on(screen)(f"{count(len(found.scores), what)} in {path}")
    if out:
        _open_pages(screen, out)
    else:
        flags = ["--run", run, "--features", features, *(["--sequences"] if sequences else [])]
        print_next(screen, command("train", "scenes", *flags, "--out", "scenes.html", video))


def relabel(
    run: Run,
    out: Annotated[Path, typer.Option(help="Table to write: .csv or .parquet.")],
    threshold: Annotated[float, typer.Option(help="Lowest score at which a genre is added.")] = 0.3,
    parts: Annotated[
        str, typer.Option(help="Parts of the split whose videos may get more genres.")
    ] = "train,validation,test",
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="The predicted genres replace the label's, instead of adding to them."
        ),
    ] = False,
) -> None:
    """Add the genres that a run predicts to the labels of its videos, or replace them."""
    from train.runs import relabel as augmentation

    check_suffix(out, *augmentation.SUFFIXES)
    found = augmentation.relabel(RunFolder(run), threshold=threshold, parts=names_in(parts), replace=replace)
    found.write(out)
    screen, table = console(), make_table("genre", "before", "added", "removed", "after")
    for genre, *counts in found.counts():
        table.add_row(genre, *map(str, counts))
    screen.print(table, markup=False)
    log_on(screen)(f"{out}: {found.summary()}")
    print_next(
        screen,
        command(
            "train", "--features", "STORE", "--labels", out, "--run", run.with_name(f"{run.name}-relabelled")
        ),
    )


def _open_pages(screen: Console, paths: list[Path]) -> None:
    """The addresses of those that are pages."""
    for path in paths:
        if path.suffix == ".html":
            print_open(screen, path)
