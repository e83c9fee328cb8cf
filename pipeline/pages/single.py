"""Pages that are one HTML file each, which loads nothing, and to which every name is only text.

Data goes in as JSON in which nothing can end the script element; style and script are named by their hash in
the page's content security policy, so a browser runs these and no other, and fetches nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from pipeline.pages.colours import colours_js
from pipeline.pages.pieces import script_json

_SHARED = files(__package__)
_PIECE = '<script class="piece" type="application/json">{}</script>'
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def single_page(
    *,
    heading: str,
    title: str,
    view: str,
    style: str,
    script: str,
    data: Mapping[str, Any],
    pieces: Iterable[Any] = (),
) -> bytes:
    """The page: ``view`` is HTML with ``{{heading}}`` and ``{{title}}``; no number of ``data`` is NaN.

    ``style`` and ``script`` follow those that all pages share. ``pieces`` are further data, which the page
    reads one by one when it needs them.
    """
    style = (_SHARED / "page.css").read_text("utf-8") + style
    script = colours_js() + (_SHARED / "page.js").read_text("utf-8") + script
    slots = {
        "policy": html.escape(policy(style, script)),
        "heading": html.escape(heading),
        "title": html.escape(title),
        "style": style,
        "data": script_json(data),
        "pieces": "\n".join(_PIECE.format(script_json(piece)) for piece in pieces),
        "script": script,
    }
    slots["view"] = _filled(view, slots)
    return _filled((_SHARED / "page.html").read_text("utf-8"), slots).encode("utf-8", "replace")


def policy(style: str, script: str) -> str:
    """A content security policy under which a page is this style and this script."""
    return f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'"


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _filled(template: str, slots: Mapping[str, str]) -> str:
    """In one go: what was filled in is not looked at again."""
    return _SLOT.sub(lambda slot: slots[slot[1]], template)
