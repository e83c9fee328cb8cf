"""``marquee tag STORE --tags words.txt``: every shot against words of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from extract.errors import command, count
from extract.terminal import command_line, console, print_line, print_next
from pipeline.storage.location import location
from pipeline.store.layout import open_store, run_again

app = command_line()


@app.command()
def tag(
    store: Annotated[str, typer.Argument(help="Feature store with rows of clip.")],
    tags: Annotated[
        Path, typer.Option(help="A tag on each line: 'a car chase at night', or 'night: dark | at night'.")
    ],
    weights: Annotated[Path | None, typer.Option(help="Folder with published checkpoints.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")] = "auto",
) -> None:
    """Score every shot against words of your own, by CLIP, without training or opening a video."""
    from pipeline.cli.reports import extract_and_report
    from pipeline.store.coverage import outcomes
    from pipeline.store.videos import read_shards
    from pipeline.tagging.tagging import tagging
    from pipeline.tagging.words import read_words

    opened, screen = open_store(location(store)), console()
    config = tagging(opened, read_words(tags), weights=weights, device=device)
    status = extract_and_report(config, screen)
    made = [target for target in opened.targets() if target.expert == "tags"]
    shards = read_shards(opened)
    left = sum(len(shard.videos) for shard in shards) - sum(1 for _ in outcomes(opened, shards, made))
    if left and status != 130:
        print_line(
            screen,
            f"{count(left, 'video')} without rows of clip: {run_again(opened)} adds them, and their tags",
        )
    if status != 130:
        print_next(screen, command("report", opened.root, "--out", "pages"))
    raise typer.Exit(status)
