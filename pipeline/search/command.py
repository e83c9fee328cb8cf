"""``marquee search STORE ...``: by words, by meaning, by a picture, by a moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from extract.errors import UsageError, again, clean, clock, command, count
from extract.terminal import command_line, console, make_table, print_line, print_next, print_open
from pipeline.pages.pictures import damaged_pictures
from pipeline.storage.location import location
from pipeline.store.layout import Store, open_store

if TYPE_CHECKING:
    from pipeline.search.hits import Answer
    from pipeline.search.shots import Shots

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
    page: Annotated[Path | None, typer.Option(help="Also write a page with their pictures: .html.")] = None,
    site: Annotated[
        Path | None, typer.Option(help="Report (`marquee report`) whose pages the --page links to.")
    ] = None,
    cut: Annotated[
        Path | None, typer.Option(help="Also cut them out of the films, into this folder.")
    ] = None,
    cut_encode: Annotated[
        bool, typer.Option("--cut-encode", help="Encode what is cut, exact to the picture.")
    ] = False,
    weights: Annotated[Path | None, typer.Option(help="Folder with published checkpoints.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")] = "auto",
) -> None:
    """Find moments: words on screen and spoken, shots by meaning, by a picture, or like another."""
    from pipeline.search.page import write_page
    from pipeline.search.search import Searches, run_searches

    _check_outputs(out, page, site, cut, encode=cut_encode)
    asked = Searches(tuple(words or ()), tuple(meaning or ()), tuple(image or ()), tuple(like or ()), by)
    if not asked:
        raise UsageError(
            "nothing is sought: give WORDS, --meaning TEXT, --image PICTURE or --like VIDEO@SECONDS"
        )
    opened, screen = open_store(location(store)), console()
    log = partial(print_line, screen)
    answers = run_searches(opened, asked, most=most, weights=weights, device=device, log=log)
    _print(screen, answers)
    if out is not None:
        _write_hits(screen, out, answers)
    shots = _shots(opened, answers) if page is not None or cut is not None else {}
    if page is not None:
        damaged = write_page(page, opened, answers, shots, site=site)
        if damaged:
            print_line(screen, damaged_pictures(damaged))
        print_open(screen, page)
    elif cut is None:
        print_next(screen, _next(opened, answers))
    if cut is not None:
        _cut(screen, cut, opened, answers, shots, encode=cut_encode)


def _next(store: Store, answers: Iterable[Answer]) -> str:
    """The moments with pictures; or what there is to search, where nothing was found."""
    found = any(answer.hits for answer in answers)
    return again("--page", "moments.html") if found else command("describe", store.root)


def _shots(store: Store, answers: Iterable[Answer]) -> dict[str, Shots]:
    """Those of the videos in which something was found."""
    from pipeline.search.shots import shots_of

    return shots_of(store, {hit.video_id for answer in answers for hit in answer.hits})


def _check_outputs(
    out: Path | None, page: Path | None, site: Path | None, cut: Path | None, *, encode: bool
) -> None:
    from pipeline.search.hits import check_name
    from pipeline.search.page import check_page

    if encode and cut is None:
        raise UsageError("--cut-encode says how --cut DIR cuts: give both")
    if cut is not None:
        from pipeline.search.cut import check_folder

        check_folder(cut)
    if out is not None:
        check_name(out)
    check_page(page, site)


def _print(screen: Console, answers: Iterable[Answer]) -> None:
    for answer in answers:
        found = count(len(answer.hits), "moment") if answer.hits else "nothing found"
        print_line(screen, f"{answer.query}: {found}")
        if answer.hits:
            table = make_table("video", "time", "score", "why")
            for hit in answer.hits:
                score = "" if hit.score is None else f"{hit.score:.3f}"
                table.add_row(clean(hit.video_id), clock(hit.start_seconds, 1), score, clean(hit.why))
            screen.print(table, markup=False, highlight=False)


def _write_hits(screen: Console, out: Path, answers: Iterable[Answer]) -> None:
    from pipeline.search.hits import write_hits

    hits = [hit for answer in answers for hit in answer.hits]
    write_hits(out, hits)
    print_line(screen, f"{count(len(hits), 'moment')} in {out}")


def _cut(
    screen: Console,
    folder: Path,
    store: Store,
    answers: list[Answer],
    shots: Mapping[str, Shots],
    *,
    encode: bool,
) -> None:
    from pipeline.search.cut import cut_out

    done = cut_out(store, answers, shots, folder, encode=encode)
    for line in done.refused:
        print_line(screen, line)
    begin = "" if encode else ", each from the keyframe before"
    there = f" in {folder}{begin}" if done.written else ""
    print_line(screen, f"{count(done.written, 'clip')}{there}")
    if done.refused:
        raise typer.Exit(3)
