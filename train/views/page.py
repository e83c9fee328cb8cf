"""Pages to look at: each is one HTML file that loads nothing, and to which every name is only text.

``templates/page.*`` is what these pages share, ``templates/VIEW.*`` what one view adds. Data goes in as JSON
in which nothing can end the script element; styles and scripts are named by their hash in the page's content
security policy, so a browser runs these and no other, and fetches nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.report.pieces import script_json
from train.evaluation.svg import LINES

# The colours of figures, lighter, for a dark ground.
DARK_LINES = ("#6ea8e8", "#ec8a73", "#69c08c", "#b995db", "#dcb545", "#5cc9da", "#dd7ba6", "#97a9bb")
# One look for all pages: those of a store (:mod:`pipeline.report`) have it too.
_SHARED_STYLE = files("pipeline.report") / "assets" / "page.css"
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def page(view: str, *, title: str, data: Mapping[str, Any]) -> bytes:
    """The page of a view (``map``, ``scenes``) with its data: what JSON can say, without NaN."""
    style = _SHARED_STYLE.read_text("utf-8") + _template(f"{view}.css")
    script = _template("page.js") + _template(f"{view}.js")
    slots = {
        "policy": html.escape(policy(style, script)),
        "title": html.escape(title),
        "style": style,
        "data": script_json({**data, "colours": {"light": LINES, "dark": DARK_LINES}}),
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
