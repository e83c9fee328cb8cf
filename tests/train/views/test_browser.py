"""The pages in a real browser: they answer, keep to themselves, and take every name for a name."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.fixtures.browser import Watched
from tests.fixtures.hostile import Server, url
from tests.train.views.test_space import hand_made
from train.views.scenes import SceneScores

GENRES = ("drama", "comedy", "action")


def hostile(server: Server) -> tuple[str, ...]:
    """Names that act if they are taken for anything but text."""
    act = f"window.acted=1;fetch('{url(server)}')"
    return (
        f'</script><img src="{url(server)}" onerror="{act}">',
        f"<script>{act}</script>",
        f'"><svg onload="{act}">',
        f"'-{{{act}}}-'",
        "${window.acted=1}",
        f"javascript:{act}",
        "line\u2028\u2029</title><b>bold</b>",
        "&lt;b&gt; {{script}}",
    )


def map_page(browser: Any, folder: Path, names: tuple[str, ...], **how: Any) -> Watched:
    path = folder / "map.html"
    made = hand_made(names, how.pop("genres", GENRES))
    path.write_bytes(replace(made, pictures=how.pop("pictures", {})).html())
    return Watched(browser, path, **how)


def points(watched: Watched) -> np.ndarray:
    """(points, 2): where coloured pixels of a canvas are, as x and y in the window; greys are none."""
    colours = watched.colours("#map").astype(int)
    strong = (np.ptp(colours[..., :3], axis=2) > 60) & (colours[..., 3] > 200)
    y, x = np.nonzero(strong)
    box = watched.page.locator("#map").bounding_box()
    return np.stack([x + box["x"], y + box["y"]], axis=1)


def leftmost(watched: Watched) -> np.ndarray:
    found = points(watched)
    return np.asarray(found[found[:, 0].argmin()] + (2, 0))


def test_the_pointer_finds_the_video_and_its_card_says_genres_and_scores(
    browser: Any, tmp_path: Path
) -> None:
    names = tuple(f"films/{i:02d}" for i in range(12))  # on an ellipse: 0 is at the right, 6 at the left
    watched = map_page(browser, tmp_path, names)
    page = watched.page
    assert page.locator("#card").is_hidden()
    page.mouse.move(*leftmost(watched))
    card = page.locator("#card")
    card.wait_for(state="visible")
    assert card.locator("> bdi").inner_text() == "films/06"
    assert card.locator(".has").inner_text().split() == ["drama"]
    scores = card.locator(".scores").inner_text().split()
    assert scores == ["drama", "0.75", "comedy", "0.25", "action", "0.25"]
    page.mouse.move(640, 400)
    card.wait_for(state="hidden")
    page.get_by_role("button", name="UMAP").click()  # turned by half
    assert page.get_by_role("button", name="UMAP").get_attribute("aria-pressed") == "true"
    page.mouse.move(*leftmost(watched))
    card.wait_for(state="visible")
    assert card.locator("> bdi").inner_text() == "films/00"
    assert watched.trouble == []


def test_a_genre_or_a_word_filters(browser: Any, tmp_path: Path) -> None:
    names = tuple(f"films/{i:02d}" for i in range(12))
    watched = map_page(browser, tmp_path, names)
    page, before, drama = watched.page, len(points(watched)), leftmost(watched)
    page.get_by_role("button", name="comedy").click()
    assert page.locator("#count").inner_text() == "4 of 12 videos"
    assert 0 < len(points(watched)) < before / 2
    page.mouse.move(*leftmost(watched))
    page.locator("#card").wait_for(state="visible")
    assert page.locator("#card > bdi").inner_text() == "films/07", "6 lies farther left, and is not a comedy"
    page.mouse.move(*drama)
    page.locator("#card").wait_for(state="hidden")
    page.get_by_role("button", name="action").click()
    assert page.locator("#count").inner_text() == "8 of 12 videos"
    page.locator("#clear").click()
    assert page.locator("#count").inner_text() == "12 videos" and len(points(watched)) == before
    page.keyboard.press("/")
    page.get_by_role("searchbox").fill("S/1")
    assert page.locator("#count").inner_text() == "2 of 12 videos"
    assert 0 < len(points(watched)) < before / 3
    assert page.locator("#found button").all_inner_texts() == ["films/10", "films/11"]
    page.get_by_role("searchbox").press("Enter")
    assert page.locator("#card.pinned > bdi").inner_text() == "films/10"
    page.get_by_role("searchbox").fill("ß")
    assert page.locator("#more").inner_text() == "No name has this in it."
    page.get_by_role("searchbox").press("Escape")
    assert page.locator("#names").is_hidden() and page.locator("#count").inner_text() == "12 videos"
    assert watched.trouble == []


def test_keys_go_from_video_to_video_from_the_first_one_on(browser: Any, tmp_path: Path) -> None:
    watched = map_page(browser, tmp_path, tuple(f"films/{i:02d}" for i in range(12)))
    page, card = watched.page, watched.page.locator("#card > bdi")
    page.keyboard.press("ArrowRight")
    card.wait_for(state="visible")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    rightmost = card.inner_text()
    assert rightmost in ("films/11", "films/00", "films/01")
    assert page.locator("#spoken").inner_text().startswith(f"{rightmost}: ")
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    assert card.inner_text() in ("films/05", "films/06", "films/07")
    page.keyboard.press("Escape")
    card.wait_for(state="hidden")
    wide = np.ptp(points(watched)[:, 0])
    for _ in range(2):
        page.keyboard.press("-")
    assert np.ptp(points(watched)[:, 0]) == pytest.approx(wide, abs=2), "not farther than all"
    page.keyboard.press("+")
    assert len(points(watched)) != 0 and watched.trouble == []


def test_colours_follow_the_system_until_the_button_is_pressed(browser: Any, tmp_path: Path) -> None:
    names = tuple(f"films/{i:02d}" for i in range(6))
    ground = "getComputedStyle(document.body).backgroundColor"
    for dark in (False, True):
        watched = map_page(browser, tmp_path, names, dark=dark)
        first = watched.page.evaluate(ground)
        marks = watched.colours("#map")
        watched.page.locator("#theme").click()
        second = watched.page.evaluate(ground)
        assert (first == "rgb(255, 255, 255)") is not dark and (second == "rgb(255, 255, 255)") is dark
        assert not np.array_equal(watched.colours("#map"), marks)
        assert watched.trouble == []


def test_the_map_shows_a_picture_of_a_video(browser: Any, tmp_path: Path) -> None:
    names = tuple(f"films/{i:03d}" for i in range(120))
    with io.BytesIO() as written:
        Image.new("RGB", (160, 90), (200, 30, 30)).save(written, "WEBP")
        webp = base64.b64encode(written.getvalue()).decode()
    watched = map_page(browser, tmp_path, names, pictures={"films/007": webp, "films/110": webp})
    page = watched.page
    for name, pictures in (("films/110", 1), ("films/111", 0), ("films/007", 1)):
        page.get_by_role("searchbox").fill(name)
        page.get_by_role("searchbox").press("Enter")
        assert page.locator("#card > bdi").inner_text() == name
        assert page.locator("#card img").count() == pictures
    page.wait_for_function("document.querySelector('#card img').naturalWidth === 160")
    assert watched.trouble == []


def test_hostile_names_on_a_map_are_only_names(browser: Any, server: Server, tmp_path: Path) -> None:
    names = hostile(server)
    watched = map_page(browser, tmp_path, names, genres=names)
    page = watched.page
    elements = "document.querySelectorAll('img, b, iframe, script, body > svg').length"
    assert page.evaluate(elements) == 2, "the data and the script of the page"
    listed = page.locator("#genres bdi").all_text_contents()
    assert tuple(listed) == names
    seen = set()
    for key in ["ArrowRight"] * 8 + ["ArrowLeft"] * 8:
        page.keyboard.press(key)
        seen.add(page.locator("#card > bdi").text_content())
    assert len(seen) > 2 and seen <= set(names)
    page.get_by_role("searchbox").fill(names[0][:20])
    assert page.locator("#found bdi").all_text_contents() == [names[0]]
    page.locator("#genres button").first.click()
    assert page.evaluate(elements) == 2 and page.evaluate("window.acted") is None
    assert watched.trouble == [] and server.asked == []


def scenes_page(browser: Any, folder: Path, name: str, genres: tuple[str, ...]) -> Watched:
    scores = np.full((4, len(genres)), 0.1, np.float32)
    scores[[0, 2, 3], [0, 1, 0]] = 0.9
    scores[1] = np.nan
    starts = np.array([0.0, 10.0, 20.0, 70.0])
    made = SceneScores(name, genres, starts, starts + 10, scores, scores[0], "by hand")
    made.write(folder / "scenes.html")
    return Watched(browser, folder / "scenes.html")


def test_the_timeline_answers_to_pointer_keys_and_genres(browser: Any, tmp_path: Path) -> None:
    watched = scenes_page(browser, tmp_path, "films/00", GENRES)
    page, card = watched.page, watched.page.locator("#card")
    box = page.locator("#shots").bounding_box()
    shown = watched.colours("#shots")
    strip = shown[10, [int(box["width"] * part) for part in (0.06, 0.18, 0.31, 0.6, 0.94)]].astype(int)
    assert np.array_equal(strip[0], strip[4]) and not np.array_equal(strip[0], strip[2])
    assert strip[3, 3] == 0, "nothing between the shots"
    page.mouse.move(box["x"] + box["width"] * 0.31, box["y"] + 60)
    card.wait_for(state="visible")
    assert card.locator("> bdi").inner_text() == "Shot 3 of 4"
    assert "0:20.0 to 0:30.0, 10.0 s" in card.inner_text()
    assert card.locator(".scores").inner_text().split()[:2] == ["comedy", "0.90"]
    page.keyboard.press("ArrowLeft")
    assert "No expert has anything in this shot" in card.inner_text()
    page.keyboard.press("Escape")
    assert card.is_hidden()
    assert page.locator("#table tr:visible").count() == 4
    page.get_by_role("button", name="drama").click()
    assert page.locator("#count").inner_text() == "2 of 4 shots"
    cells = page.locator("#table tr:visible td:first-child").all_text_contents()
    assert cells == ["1", "4"]
    after = watched.colours("#shots")
    assert np.array_equal(after[10, int(box["width"] * 0.06)], shown[10, int(box["width"] * 0.06)])
    assert not np.array_equal(after[10, int(box["width"] * 0.31)], shown[10, int(box["width"] * 0.31)])
    page.get_by_role("button", name="Less time").click()
    assert page.locator("#shots").bounding_box()["width"] == pytest.approx(1.5 * box["width"], abs=1)
    page.keyboard.press("0")
    assert page.locator("#shots").bounding_box()["width"] == pytest.approx(box["width"], abs=1)
    assert watched.trouble == []


def test_hostile_names_on_a_timeline_are_only_names(browser: Any, server: Server, tmp_path: Path) -> None:
    names = hostile(server)
    for name in (names[0], names[6]):
        watched = scenes_page(browser, tmp_path, name, names)
        page = watched.page
        assert page.locator("h1 bdi").text_content() == name
        assert sorted(page.locator("#genres bdi").all_text_contents()) == sorted(names)
        page.keyboard.press("ArrowRight")
        assert page.locator("#card .own").first.text_content() == names[0]
        assert page.evaluate("document.querySelectorAll('img, b, iframe, script, body > svg').length") == 2
        assert page.evaluate("window.acted") is None and watched.trouble == []
    assert server.asked == []
