"""Pages to look at: each is one HTML file that loads nothing, and to which every name is only text.

:mod:`pipeline.pages` is what all pages share, ``templates/genres.js`` what these do, ``templates/VIEW.*``
what one view adds. Data goes in as JSON
in which nothing can end the script element; styles and scripts are named by their hash in the page's content
security policy, so a browser runs these and no other, and fetches nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.pages.colours import colours_js, looks_of
from pipeline.pages.pieces import script_json

_SHARED = files("pipeline.pages")
_HEADINGS = {"map": "Map of videos", "scenes": "Genres over time"}
_PIECE = '<script class="piece" type="application/json">{}</script>'
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def page(view: str, *, title: str, data: Mapping[str, Any], pieces: Iterable[Any] = ()) -> bytes:
    """The page of a view (``map``, ``scenes``) with its data, ``genres`` among it; no number is NaN.

    ``pieces`` are further data, which the page reads one by one when it needs them.
    """
    style = (_SHARED / "page.css").read_text("utf-8") + _template(f"{view}.css")
    shared = colours_js() + (_SHARED / "page.js").read_text("utf-8")
    script = shared + _template("genres.js") + _template(f"{view}.js")
    slots = {
        "policy": html.escape(policy(style, script)),
        "heading": _HEADINGS[view],
        "title": html.escape(title),
        "style": style,
        "data": script_json({**data, "looks": looks_of(data["genres"])}),
        "pieces": "\n".join(_PIECE.format(script_json(piece)) for piece in pieces),
        "script": script,
    }
    slots["view"] = _filled(_template(f"{view}.html"), slots)
    return _filled(_template("page.html"), slots).encode("utf-8", "replace")


def rounded(scores: NDArray[Any]) -> list[list[float]]:
    """Three digits are what a page shows, and keep it small."""
    shown: list[list[float]] = scores.astype(np.float64).round(3).tolist()
    return shown


def policy(style: str, script: str) -> str:
    """A content security policy under which a page is this style and this script."""
    return f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'"


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _filled(template: str, slots: Mapping[str, str]) -> str:
    """In one go: what was filled in is not looked at again."""
    return _SLOT.sub(lambda slot: slots[slot[1]], template)


def _template(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text("utf-8")
