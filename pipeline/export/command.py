"""``marquee export STORE --to FORMAT``: a store in the formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from extract.errors import command, count
from extract.terminal import command_line, console, print_line, print_next, print_open
from pipeline.export import Format
from pipeline.export.names import format_named
from pipeline.storage.location import location
from pipeline.store.layout import open_store

app = command_line()


@app.command()
def export(
    store: Annotated[str, typer.Argument(help="Feature store.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            autocompletion=lambda: list(get_args(Format)),
            help=f"One of: {', '.join(get_args(Format))}; or what it is known by, such as ELAN.",
        ),
    ],
    videos: Annotated[list[str] | None, typer.Argument(help="Ids of videos; none: all.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder: new, empty, or of an older export. Default: STORE-FORMAT.")
    ] = None,
) -> None:
    """Take along what a store has: subtitles, tables, annotations, timelines, datasets."""
    from pipeline.cli.display import videos_counted
    from pipeline.export.export import export as write_export
    from pipeline.report.video_tables import untimed_rows

    to = format_named(to)
    opened, screen = open_store(location(store)), console()
    folder = out or Path(f"{opened.root.name}-{to}")
    with videos_counted(screen, f"exporting to {to}") as progress:
        made = write_export(opened, to, folder, video_ids=videos or (), progress=progress)
    there = f", {made.bytes / 1e6:.1f} MB: {made.folder}" if made.files else ""
    print_line(screen, f"{count(made.videos, 'video')}, {count(made.files, 'file')}{there}")
    if made.without:
        print_line(screen, f"{count(made.without, 'video')} without anything for {to}")
    if made.untimed:
        print_line(screen, untimed_rows(opened.root, made.untimed))
    if made.files:
        print_open(screen, made.folder)
    else:
        print_next(screen, command("describe", opened.root))
