"""How genres look in the views: the same colour and mark on pages and in pictures."""

from __future__ import annotations

from train.evaluation.svg import GREY, LINES

MARKS = "os^D"  # as on the pages: the colours come again with the next mark


def look(genre: int) -> tuple[str, str]:
    """Colour and mark of a genre by its number; -1 is none."""
    if genre < 0:
        return GREY, MARKS[0]
    return LINES[genre % len(LINES)], MARKS[genre // len(LINES) % len(MARKS)]
