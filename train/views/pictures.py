"""How genres look in the views: the same colour and mark on pages and in pictures."""

from __future__ import annotations

from pipeline.pages.colours import COLOURS, colour_of
from train.evaluation.svg import GREY

MARKS = "os^D"  # as on the pages: the colours come again with the next mark


def colour_and_mark(look: int | None) -> tuple[str, str]:
    """Of a look (:func:`pipeline.pages.colours.looks_of`); None: of no genre."""
    if look is None:
        return GREY, MARKS[0]
    return colour_of(look), MARKS[look // len(COLOURS) % len(MARKS)]
