"""Pages as text: nothing that stands in a name can leave its place."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from pipeline.pages.pieces import script_json
from pipeline.pages.single import policy
from train.views.page import page

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "]]>",
    "a & b &lt;",
    "line\u2028and\u2029paragraph",
    "\x00\x1b\n\"'\\",
    "{{data}} {{script}}",
    "\ud800 half a pair",
    "映画 🎬",
)
EMPTY: dict[str, Any] = {"about": "", "names": [], "genres": [], "positions": {"t-SNE": [[], []]}}


class Elements(HTMLParser):
    """Every element of a document with its attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str]] = []
        self.title = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag = self.found[-1][0] if self.found else ""
        if tag in ("script", "style") and data.strip():
            self.raw.append((tag, data))
        if tag == "title":
            self.title += data


@pytest.mark.parametrize("text", HOSTILE)
def test_json_in_a_script_is_ascii_without_a_mark_that_could_end_it(text: str) -> None:
    written = script_json({"name": text, text: [1.5, None]})
    assert written.isascii() and not set("<>&") & set(written)
    assert json.loads(written) == {"name": text, text: [1.5, None]}


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        script_json([float("nan")])


@pytest.mark.parametrize("view", ["map", "scenes"])
@pytest.mark.parametrize("text", HOSTILE)
def test_names_add_no_element_and_are_in_the_data_as_they_are(view: str, text: str) -> None:
    plain = Elements(page(view, title="a", data=EMPTY).decode())
    document = page(
        view, title=text, data={**EMPTY, "names": [text], "genres": [text]}, pieces=[[text]]
    ).decode()
    hostile = Elements(document)
    assert [found for found in hostile.found if found[1].get("class") != "piece"] == plain.found
    (data,) = (json.loads(raw) for tag, raw in hostile.raw if tag == "script" and raw.startswith("{"))
    assert [json.loads(raw) for _, raw in hostile.raw if raw.startswith("[")] == [[text]]
    assert data["names"] == data["genres"] == [text]
    assert html.escape(text.encode("utf-8", "replace").decode()) in document


@pytest.mark.parametrize("view", ["map", "scenes"])
def test_a_page_is_whole_and_its_policy_allows_nothing_else(view: str) -> None:
    document = page(view, title="a", data=EMPTY).decode()
    parsed = Elements(document)
    for tag, attributes in parsed.found:
        assert "style" not in attributes and not any(name.startswith("on") for name in attributes), tag
        assert attributes.get("src") is None and attributes.get("href") in (None, "data:,")
    addresses = set(re.findall(r"[a-z]+://[^\"'\s]+", document))
    assert addresses == {"http://www.w3.org/2000/svg"}, "a namespace, which nobody fetches"
    assert "{{" not in document and "@import" not in document and "url(" not in document
    (said,) = (a["content"] for tag, a in parsed.found if a.get("http-equiv") == "Content-Security-Policy")
    assert said is not None and said.startswith("default-src 'none';") and "unsafe" not in said
    (style,) = (raw for tag, raw in parsed.raw if tag == "style")
    scripts = [raw for tag, raw in parsed.raw if tag == "script" and not raw.startswith("{")]
    assert len(scripts) == 1 and said == policy(style, scripts[0])
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in said
