"""The colours of pages and figures, and which of them a genre has: the same on each, for every run.

A look is a number: colour ``look % 8``, outline ``look // 8``. It follows from the genre's name, so runs that
list other genres, or the same in another order, show a genre alike.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence

# Each has a contrast of 3 or more to the grounds of its pages (WCAG 2.1, 1.4.11).
COLOURS = ("#1f5fa8", "#c8553d", "#3f8f5f", "#8a5fa8", "#ad8300", "#2597a8", "#a83f6f", "#5b6b7a")
DARK_COLOURS = ("#6ea8e8", "#ec8a73", "#69c08c", "#b995db", "#dcb545", "#5cc9da", "#dd7ba6", "#97a9bb")
OUTLINES = 4  # circle, square, triangle, diamond

# Genres of IMDb and TMDB by their look: those that occur most often have the eight colours.
_USUAL = (
    "drama", "action", "adventure", "horror", "comedy", "scifi", "romance", "thriller",
    "history", "crime", "family", "fantasy", "music", "animation", "musical", "mystery",
    "biography", "war", "documentary", "filmnoir", "short", "sport", "western", "news",
)  # fmt: skip
_ALSO = {"sciencefiction": "scifi", "sf": "scifi", "biopic": "biography", "suspense": "thriller"}


def looks_of(genres: Sequence[str]) -> list[int]:
    """The look of each genre. Spelling matters only in letters and digits: "Sci-Fi" is "scifi".

    The colour depends on the genre's own name alone. So does the outline of usual genres; another genre has
    the first one that no genre of its colour has in this list, in the order of the alphabet.
    """
    names = [_letters(genre) for genre in genres]
    found = {name: _USUAL.index(name) for name in names if name in _USUAL}
    for name in sorted(set(names) - found.keys()):
        colour = zlib.crc32(name.encode("utf-8", "surrogatepass")) % len(COLOURS)
        free = (look for look in range(colour, len(COLOURS) * OUTLINES, len(COLOURS)))
        taken = set(found.values())
        found[name] = next((look for look in free if look not in taken), colour)
    return [found[name] for name in names]


def colour_of(look: int) -> str:
    """On a light ground."""
    return COLOURS[look % len(COLOURS)]


def _letters(genre: str) -> str:
    name = "".join(character for character in genre.casefold() if character.isalnum()) or genre
    return _ALSO.get(name, name)


def colours_js() -> str:
    """The colours as a script, which comes before ``page.js``."""
    written = json.dumps({"light": COLOURS, "dark": DARK_COLOURS})
    return f'"use strict";\n\nconst COLOURS = {written};\n'
