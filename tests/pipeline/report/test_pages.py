"""The pages in a real browser: they seek, zoom and search, and take every text for a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.report.lanes import Scores
from pipeline.report.site import report
from pipeline.store.layout import Store
from tests.fixtures.browser import Watched
from tests.fixtures.hostile import Server, url
from tests.pipeline.report.conftest import FILM

expect = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright").expect


def opened(browser: Any, folder: Path, page: str, **how: Any) -> Watched:
    """A page of the site; scripts, styles and data beside it are its own."""
    return Watched(browser, folder / page, beside=folder, **how)


def address(page: Any) -> str:
    """As the page itself has it: what the driver knows of it comes a little later."""
    found: str = page.evaluate("location.href")
    return found


def test_keys_and_clicks_go_through_the_film(browser: Any, films: Store, tmp_path: Path) -> None:
    report(films, tmp_path / "site", media="none")
    watched = opened(browser, tmp_path / "site", "film.html?v=0#t=9.5")
    page = watched.page
    page.locator("#now", has_text="shot 3 of 4").wait_for()
    assert page.locator("#title").inner_text() == "films/a"
    page.keyboard.press("ArrowRight")
    assert "shot 4 of 4" in page.locator("#now").inner_text()
    assert address(page).endswith("#t=15"), "the address names the moment"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert address(page).endswith("#t=4")
    page.keyboard.press(".")
    assert address(page).endswith("#t=4.04"), "a frame of 25 a second"
    before = page.locator("#span").inner_text()
    page.keyboard.press("+")
    expect(page.locator("#span")).not_to_have_text(before)
    page.keyboard.press("0")
    expect(page.locator("#span")).to_have_text(before)
    box = page.locator("#lanes .body").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 5)
    assert page.locator("#now").inner_text().startswith("0:10")
    page.evaluate("location.hash = 't=1'")
    page.locator("#now", has_text="shot 1 of 4").wait_for()
    assert watched.trouble == []


def test_a_word_is_found_without_case_and_accents_and_with_a_letter_wrong(
    browser: Any, films: Store, tmp_path: Path
) -> None:
    report(films, tmp_path / "site", media="none")
    watched = opened(browser, tmp_path / "site", "film.html?v=0")
    page = watched.page
    rows = page.locator("#list li:visible bdi")
    rows.first.wait_for()
    page.keyboard.press("/")
    for sought, found in (
        ("elise", ["Élise"]),
        ("comming", ["COMING SOON"]),
        ('"goes there"', ["Who goes there?"]),
    ):
        page.locator("#find").fill(sought)
        assert rows.all_inner_texts() == found
    page.locator("#list li:visible button").click()
    assert address(page).endswith("#t=1")
    page.locator("#find").press("Escape")
    assert len(rows.all_inner_texts()) == 3
    assert watched.trouble == []


def test_the_corpus_sorts_filters_and_leads_to_moments(browser: Any, films: Store, tmp_path: Path) -> None:
    report(films, tmp_path / "site", media="none")
    watched = opened(browser, tmp_path / "site", "index.html")
    page = watched.page
    names = page.locator("#rows th bdi")
    names.first.wait_for()
    assert names.all_inner_texts() == ["films/a", "films/b", "films/c"]
    page.get_by_role("button", name="Length").click()
    page.get_by_role("button", name="Length").click()
    expect(names).to_have_text(["films/b", "films/a", "films/c"])  # what has no length comes last
    page.get_by_label("with failures only").check()
    expect(names).to_have_text(["films/c"])
    assert page.locator("#rows .failed").inner_text() == "moov atom not found (ocr, scenes, thumbnails)"
    page.locator("summary").click()
    assert page.locator("#reasons li").all_inner_texts() == ["moov atom not found: films/c"]
    page.get_by_label("with failures only").uncheck()
    page.locator("#find").fill("comming")
    line = page.locator("#list a")
    line.wait_for()
    assert "COMING SOON" in line.inner_text()
    line.click()
    page.locator("#now", has_text="0:05.0").wait_for()
    assert watched.trouble == []


@pytest.fixture
def titles(request: Any, server: Server) -> list[str]:
    if "hostile" not in request.node.name:
        return ["COMING SOON", "Élise"]
    act = f"window.acted=1;fetch('{url(server)}')"
    return [f'</script><img src="{url(server)}" onerror="{act}">', f'<svg onload="{act}">${{window.acted=1}}']


@pytest.mark.parametrize("page_name", ["index.html", "film.html?v=0", "beside.html?a=0"])
def test_hostile_texts_are_texts(
    browser: Any, server: Server, films: Store, titles: list[str], tmp_path: Path, page_name: str
) -> None:
    scores = Scores(titles, [0, 9], [0.0, 4.0], [4.0, 9.0], [[0.2, 0.75]] * 2, [0.5, 0.25])
    report(films, tmp_path / "site", media="none", genres=lambda video: scores if video == FILM else None)
    watched = opened(browser, tmp_path / "site", page_name)
    page = watched.page
    if page_name == "index.html":
        page.locator("#find").fill("script")
        page.locator("#list a").first.wait_for()
        assert titles[0] in page.locator("#list").inner_text()
    elif page_name.startswith("film"):
        page.locator("#list li").first.wait_for()
        assert titles[0] in page.locator("#list").inner_text()
        assert page.locator(".label:has(.mark) bdi").all_inner_texts() == titles
        page.keyboard.press("ArrowRight")
        assert f"{titles[1]} 0.75" in page.locator("#spoken").inner_text()
    else:
        page.frame_locator("#left").locator("#list li").first.wait_for()
    assert page.evaluate("window.acted") is None
    assert server.asked == [] and watched.trouble == []


def test_a_theme_is_kept_from_page_to_page_and_paper_is_light(
    browser: Any, films: Store, tmp_path: Path
) -> None:
    report(films, tmp_path / "site", media="none")
    watched = opened(browser, tmp_path / "site", "film.html?v=0")
    page, ground = watched.page, "getComputedStyle(document.body).backgroundColor"
    page.get_by_role("button", name="Dark colours").click()
    page.get_by_role("link", name="Beside another").click()
    frame = page.frame_locator("#left")
    frame.locator("#list li").first.wait_for()
    assert page.evaluate(ground) != "rgb(255, 255, 255)"
    page.get_by_role("button", name="Light colours").click()
    expect(frame.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    page.get_by_role("button", name="Dark colours").click()
    page.get_by_role("link", name="All videos").click()
    page.get_by_role("button", name="Light colours").wait_for()
    page.emulate_media(media="print")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    assert page.locator("#theme").is_hidden() and page.locator("thead button").first.is_visible()
    assert watched.trouble == []


def test_two_videos_are_chosen_by_their_names(browser: Any, films: Store, tmp_path: Path) -> None:
    report(films, tmp_path / "site", media="none")
    watched = opened(browser, tmp_path / "site", "beside.html?a=0")
    page, title = watched.page, watched.page.frame_locator("#right").locator("#title")
    expect(title).to_have_text("films/b")
    field = page.get_by_label("Right")
    for typed, found in (("films/a", "films/a"), ("S/C", "films/c"), ("nothing of the kind", "films/c")):
        field.fill(typed)
        field.press("Enter")
        expect(field).to_have_value(found)
        expect(title).to_have_text(found)
    assert address(page).endswith("?a=0&b=2") and watched.trouble == []


def test_the_list_of_lines_is_one_stop_and_follows_the_film(
    browser: Any, films: Store, tmp_path: Path
) -> None:
    report(films, tmp_path / "site", media="none")
    page = opened(browser, tmp_path / "site", "film.html?v=0").page
    page.locator("#find").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert address(page).endswith("#t=5"), "of the second line"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "time"
    page.locator("#list").evaluate("list => { list.style.height = '30px' }")
    page.evaluate("location.hash = 't=9.05'")
    page.locator("#list .now", has_text="Élise").wait_for()
    assert page.locator("#list").evaluate("list => list.scrollTop") > 30


def test_a_page_says_what_is_not_there(browser: Any, films: Store, tmp_path: Path) -> None:
    report(films, tmp_path / "site", media="none")
    one_shot = opened(browser, tmp_path / "site", "film.html?v=1").page
    assert one_shot.locator("#found").inner_text() == "No text and no speech in this video."
    assert one_shot.locator("#plays").is_hidden(), "there is no film that Space could play"
    failed = opened(browser, tmp_path / "site", "film.html?v=2").page
    failed.locator("#trouble", has_text="moov atom not found").wait_for()
    assert failed.locator("#found").inner_text() == "No speech in this video. Not read: text."
    assert failed.locator(".note").all_inner_texts() == [
        "The film is not here. There are no stills of it either."
    ]
    assert failed.locator("#time").is_hidden() and failed.locator("#keys").is_hidden()


def test_an_address_without_a_video_says_so(browser: Any, films: Store, tmp_path: Path) -> None:
    report(films, tmp_path / "site", media="none")
    for page_name, words in (("film.html", "names no video"), ("film.html?v=77", "is not there")):
        watched = opened(browser, tmp_path / "site", page_name)
        watched.page.locator("#trouble", has_text=words).wait_for()
