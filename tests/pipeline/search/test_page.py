"""The page of what was found: pictures of the moments, links into the report, texts that stay texts."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from extract.errors import UsageError
from pipeline.pages.pictures import placeholder_jpeg
from pipeline.report.site import report
from pipeline.search.hits import Answer, Hit
from pipeline.search.page import check_page, write_page
from pipeline.search.shots import shots_of
from pipeline.search.stills import stills_of
from pipeline.store.layout import Store
from pipeline.store.reading import read
from tests.fixtures.browser import Watched
from tests.fixtures.damage import damage, spoil

HOSTILE = "</script><img src=x onerror=alert(1)>"


def hit(start: float, *, video: str = "films/a", why: str = "title: SOON", score: float | None = None) -> Hit:
    return Hit("q", video, start, start + 0.1, score, why)


def test_the_picture_is_of_the_same_shot(films: Store) -> None:
    pictures = read(films, "thumbnails", columns=["jpeg"], video_ids=["films/a"])["jpeg"].to_pylist()
    # shots begin at 0, 4, 9, 15, with a picture 2 s later: at 8.9 s that of the next shot would be nearer
    hits = [hit(8.9), hit(0.0), hit(15.0), hit(0.0, video="films/c")]
    found = stills_of(films, hits, shots_of(films, ["films/a", "films/c"]))
    assert found == [pictures[1], pictures[0], pictures[3], None]


def test_a_damaged_picture_is_grey_and_counted(films: Store, tmp_path: Path) -> None:
    damage(films, "thumbnails", "jpeg", b"a text", row=1)
    answers = [Answer("q", (hit(0.0), hit(5.0)))]
    shots = shots_of(films, ["films/a"])
    assert write_page(tmp_path / "p.html", films, answers, shots) == 1
    assert base64.b64encode(placeholder_jpeg()) in (tmp_path / "p.html").read_bytes()


def test_pictures_that_cannot_be_read_cost_no_page(films: Store, tmp_path: Path) -> None:
    spoil(films, "thumbnails")
    assert write_page(tmp_path / "p.html", films, [Answer("q", (hit(0.0),))], {}) == 0


def test_what_is_no_report_is_refused(films: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a report"):
        write_page(tmp_path / "p.html", films, [], {}, site=tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "corpus.js").write_text("alert(1)")
    with pytest.raises(UsageError, match="is not a report"):
        check_page(tmp_path / "p.html", tmp_path)


def test_the_page_in_a_browser(browser: Any, films: Store, tmp_path: Path) -> None:
    site, page = tmp_path / "a site #1", tmp_path / "out" / "found.html"
    report(films, site)
    answers = [
        Answer(HOSTILE, (hit(5.0, why=f"title: {HOSTILE}"), hit(83.2, video="films/c", score=0.25))),
        Answer("nothing", ()),
    ]
    write_page(page, films, answers, shots_of(films, ["films/a"]), site=site)
    watched = Watched(browser, page)
    window = watched.page
    assert window.locator("h2").all_inner_texts() == [f"{HOSTILE} · 2 moments", "nothing · nothing found"]
    cards = window.locator(".hit").all_inner_texts()
    assert [list(filter(None, text.split("\n"))) for text in cards] == [
        ["0:05.0", "films/a", f"title: {HOSTILE}"],
        ["no picture", "1:23.2", "films/c", "title: SOON", "cosine 0.250"],
    ]
    assert window.locator(".hit img").evaluate("picture => picture.naturalWidth") == 64
    assert not watched.trouble, watched.trouble
    window.locator("a.hit").first.click()
    window.locator("#now", has_text="0:05.0 of").wait_for()
    assert window.locator("#title").inner_text() == "films/a"
