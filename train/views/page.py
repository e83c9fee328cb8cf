"""Pages of what a run has learned, each one HTML file (:mod:`pipeline.pages.single`).

``templates/genres.js`` is what these pages share, ``templates/VIEW.*`` what one view adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.pages.colours import looks_of
from pipeline.pages.single import single_page

_HEADINGS = {"map": "Map of videos", "scenes": "Genres over time"}


def page(view: str, *, title: str, data: Mapping[str, Any], pieces: Iterable[Any] = ()) -> bytes:
    """The page of a view (``map``, ``scenes``) with its data, ``genres`` among it; no number is NaN.

    ``pieces`` are further data, which the page reads one by one when it needs them.
    """
    return single_page(
        heading=_HEADINGS[view],
        title=title,
        view=_template(f"{view}.html"),
        style=_template(f"{view}.css"),
        script=_template("genres.js") + _template(f"{view}.js"),
        data={**data, "looks": looks_of(data["genres"])},
        pieces=pieces,
    )


def rounded(scores: NDArray[Any]) -> list[list[float]]:
    """Three digits are what a page shows, and keep it small."""
    shown: list[list[float]] = scores.astype(np.float64).round(3).tolist()
    return shown


def _template(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text("utf-8")
