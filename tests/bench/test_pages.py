"""The benchmark of the pages on a few hundred made-up videos."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench.made_up_corpus import write_corpus
from bench.pages import open_pages
from pipeline.pages.pieces import read_piece
from pipeline.report.site import report

expect = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright").expect
VIDEOS = 240


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    report(write_corpus(folder / "features", VIDEOS, shots=2), folder / "site")
    return folder / "site"


def test_opening_scrolling_sorting_and_searching_are_measured(browser: Any, site: Path) -> None:
    lines = [
        line[3].lower().split()
        for piece in range(3)
        for line in read_piece(site / "data", f"lines/{piece:04d}")
    ]
    true = str(sum("storm" in words for words in lines))
    opened = open_pages(browser, site, ("storm", "strom"))
    assert [count for _, _, count in opened.searches.values()] == [true, true]
    assert len(opened.frames) == 200 and 0 <= opened.late <= 1
    assert min(opened.seconds, opened.sort_seconds) > 0
    assert opened.memory > opened.heap > 0


def test_rows_beyond_the_window_are_reached_by_keys_and_told_apart(browser: Any, site: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto((site / "index.html").as_uri())
    page.locator("#rows a").first.focus()
    for _ in range(60):  # more than are drawn at a time
        page.keyboard.press("Tab")
    row = page.locator("#rows tr:has(a:focus)")
    assert row.get_attribute("aria-rowindex") == "62"
    assert page.locator("table").get_attribute("aria-rowcount") == str(VIDEOS + 1)
    assert page.locator("#rows th").count() < 40, "only rows in sight are drawn"


def test_who_comes_back_from_a_video_finds_search_order_and_place(browser: Any, site: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto((site / "index.html").as_uri())
    page.get_by_role("button", name="Length").click()
    page.locator("#scroller").evaluate("table => { table.scrollTop = 6400 }")
    link = page.locator("#rows tr[aria-rowindex='105'] a")
    name = link.inner_text()
    link.click()
    page.locator("#title", has_text=name).wait_for()
    page.go_back()
    page.locator("#rows tr[aria-rowindex='105'] a", has_text=name).wait_for()
    page.locator("#find").fill("nobody")
    expect(page.locator("#lines")).to_have_text(re.compile(r"^\d+$"))  # not "3 so far"
    found = page.locator("#count").inner_text()
    page.locator("#list a").first.click()
    page.locator("#now", has_text="shot").wait_for()
    page.go_back()
    expect(page.locator("#find")).to_have_value("nobody")
    expect(page.locator("#count")).to_have_text(found)
