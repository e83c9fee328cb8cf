"""What a search found as one HTML page: a picture of each moment, and a link into the pages of a report."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from extract.errors import UsageError
from pipeline.pages.pictures import placeholder_jpeg, size_of
from pipeline.pages.pieces import read_piece
from pipeline.pages.single import single_page
from pipeline.search.hits import Answer, Hit
from pipeline.search.shots import Shots
from pipeline.search.stills import stills_of
from pipeline.storage.atomic import atomic
from pipeline.storage.names import check_suffix
from pipeline.store.layout import Store

MOST_ON_PAGE = 1000  # moments with their pictures: some 15 MB


def write_page(
    path: Path,
    store: Store,
    answers: Sequence[Answer],
    shots: Mapping[str, Shots],
    *,
    site: Path | None = None,
) -> int:
    """Write the page ``path``; with ``site``, a folder of ``marquee report``, moments are links into it.

    ``shots``: :func:`pipeline.search.shots.shots_of` the hits' videos. Of more than a thousand moments the
    first of each query are shown. Gives the number of pictures that are damaged, and grey instead. Raises
    UsageError for a folder that is no report, StoreError where the page cannot be written.
    """
    pages = {} if site is None else _pages(site)
    share = MOST_ON_PAGE // max(1, len(answers))
    of_query = [answer.hits[:share] for answer in answers]
    jpegs = stills_of(store, [hit for hits in of_query for hit in hits], shots)
    damaged = [jpeg is not None and size_of(jpeg) is None for jpeg in jpegs]
    stills = (placeholder_jpeg() if bad else jpeg for jpeg, bad in zip(jpegs, damaged, strict=True))
    shown = [
        {
            "query": answer.query,
            "count": len(answer.hits),
            "hits": [_shown(hit, next(stills), pages.get(hit.video_id)) for hit in hits],
        }
        for answer, hits in zip(answers, of_query, strict=True)
    ]
    view, style, script = (_template(f"hits.{suffix}") for suffix in ("html", "css", "js"))
    made = single_page(
        heading="Found",
        title=store.root.name,
        view=view,
        style=style,
        script=script,
        data={"site": None if site is None else _address(site, path), "queries": shown},
    )
    with atomic(path) as temporary:
        temporary.write_bytes(made)
    return sum(damaged)


def _shown(hit: Hit, jpeg: bytes | None, page: int | None) -> dict[str, Any]:
    return {
        "video": hit.video_id,
        "seconds": round(hit.start_seconds, 3),
        "score": hit.score,
        "why": hit.why,
        "page": page,
        "jpeg": None if jpeg is None else base64.b64encode(jpeg).decode(),
    }


def check_page(page: Path | None, site: Path | None) -> None:
    """Raises UsageError for a page that is not called .html, a site that is no report or has no page."""
    if page is not None:
        check_suffix(page, ".html", ".htm", flag="--page")
    if site is not None:
        if page is None:
            raise UsageError("--site is what a page links to: give --page PAGE.html as well")
        _pages(site)


def _pages(site: Path) -> dict[str, int]:
    """The number of each video's page."""
    try:
        corpus = read_piece(site / "data", "corpus")
        return {str(name): number for number, name in enumerate(corpus["table"]["id"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--site {str(site)!r} is not a report: give the folder that `marquee report --out` wrote"
        ) from error


def _address(site: Path, page: Path) -> str:
    """Relative, so that both may move together."""
    relative = os.path.relpath(site.resolve(), page.resolve().parent)
    return "./" + quote(os.fsencode(relative))


def _template(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text("utf-8")
