"""``marquee search STORE ...``: by words, by meaning, by a picture, by a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from extract.errors import UsageError, clock, count
from extract.terminal import command_line, console
from pipeline.cli.lines import make_table, print_line
from pipeline.storage.location import location
from pipeline.storage.names import clean
from pipeline.store.layout import open_store

app = command_line()


@app.command()
def search(
    store: Annotated[str, typer.Argument(help="Feature store.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="Words on screen or spoken; '\"two words\"' is a phrase. Several are several searches."
        ),
    ] = None,
    meaning: Annotated[
        list[str] | None, typer.Option(help="What shots show, in words, by CLIP; may be repeated.")
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option(help="A picture that shots resemble, by CLIP; may be repeated.")
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(metavar="VIDEO@SECONDS", help="A moment of the store; may be repeated."),
    ] = None,
    by: Annotated[str, typer.Option(metavar="TABLE", help="Vectors that --like compares.")] = "clip",
    most: Annotated[int, typer.Option(min=1, max=10_000, help="Results of each search.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Also write them: .csv or .json.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder with published checkpoints.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")] = "auto",
) -> None:
    """Find moments: words on screen and spoken, shots by meaning, by a picture, or like another."""
    from pipeline.search.hits import check_suffix, write_hits
    from pipeline.search.search import Searches, run_searches

    if out is not None:
        check_suffix(out)
    if not (words or meaning or image or like):
        raise UsageError(
            "nothing is sought: give WORDS, --meaning TEXT, --image PICTURE or --like VIDEO@SECONDS"
        )
    asked = Searches(tuple(words or ()), tuple(meaning or ()), tuple(image or ()), tuple(like or ()), by)
    screen = console()
    hits = run_searches(open_store(location(store)), asked, most=most, weights=weights, device=device)
    queries = [*asked.words, *asked.meaning, *map(str, asked.images), *asked.like]
    for query in queries:
        found = [hit for hit in hits if hit.query == query]
        print_line(screen, f"{query}: {'nothing found' if not found else count(len(found), 'moment')}")
        if found:
            table = make_table("video", "time", "score", "why")
            for hit in found:
                score = "" if hit.score is None else f"{hit.score:.3f}"
                table.add_row(clean(hit.video_id), clock(hit.start_seconds, 1), score, clean(hit.why))
            screen.print(table, markup=False, highlight=False)
    if out is not None:
        write_hits(out, hits)
        print_line(screen, f"{count(len(hits), 'moment')} in {out}")
