"""The views as SVG, in the style of all figures: maps of videos, genres of scenes over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from train.evaluation.svg import GREY, LINES

if TYPE_CHECKING:
    pass

MARKS = "os^D"  # as on the pages: the colours come again with the next mark


def look(genre: int) -> tuple[str, str]:
    """Colour and mark of a genre by its number; -1 is none."""
    if genre < 0:
        return GREY, MARKS[0]
    return LINES[genre % len(LINES)], MARKS[genre // len(LINES) % len(MARKS)]


def clock(seconds: float, digits: int = 0) -> str:
    """``75`` as ``1:15``, with digits ``1:15.0``."""
    rounded = round(seconds, digits)
    minutes = int(rounded // 60)
    rest = f"{rounded - 60 * minutes:0{digits + 3 if digits else 2}.{digits}f}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest}" if minutes >= 60 else f"{minutes}:{rest}"
