"""``marquee report STORE --out DIR``: pages over a store."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from extract.errors import count, some
from extract.terminal import command_line, console, print_line, print_open
from pipeline.pages.pictures import damaged_pictures
from pipeline.report import Media
from pipeline.storage.location import location
from pipeline.store.layout import open_store

app = command_line()


@app.command()
def report(
    store: Annotated[str, typer.Argument(help="Feature store.")],
    out: Annotated[Path, typer.Option(help="Folder for the pages: new, empty, or of an older report.")],
    media: Annotated[Media, typer.Option(help="Link to the films, copy them, or leave them out.")] = "link",
    run: Annotated[Path | None, typer.Option(help="Trained run: its genres are shown shot by shot.")] = None,
) -> None:
    """Write pages to look at: all videos, and each with everything that was found in it over time."""
    from pipeline.cli.display import videos_counted
    from pipeline.report.site import report as write_report
    from pipeline.report.video_tables import untimed_rows

    opened, screen = open_store(location(store)), console()
    # Named by text: this package knows of the trainer no more than its name.
    genres = (
        None if run is None else importlib.import_module("train.views.lanes").genres_over_time(run, opened)
    )
    with videos_counted(screen, "writing pages") as progress:
        made = write_report(opened, out, media=media, genres=genres, progress=progress)
    print_line(screen, f"{count(made.videos, 'video')}, {made.bytes / 1e6:.1f} MB of data: {made.index}")
    for line in made.damaged_parts:
        print_line(screen, line)
    if made.damaged_pictures:
        print_line(screen, damaged_pictures(made.damaged_pictures))
    if made.untimed_rows:
        print_line(screen, untimed_rows(opened.root, made.untimed_rows))
    if films := made.refused_films:
        what = f"{count(len(films), 'film')} left out, no media file inside the videos folder"
        print_line(screen, f"{what}: {some(films)}")
    print_open(screen, made.index)
