"""Every word of real trailers' title cards is found where it is on screen, also with a letter wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from extract.expert import Resources
from extract.registry import make_expert
from extract.types import Frame, MediaInfo, Row, Scene
from pipeline.search.query import plain
from pipeline.search.search import Searches, run_searches
from pipeline.store.layout import Store
from tests.pipeline.about.conftest import write_tables
from tests.pipeline.conftest import Kit

TRAILERS = ("el_faro_de_sal", "the_last_orchard")
FEWEST_LETTERS = 4  # shorter words are exact: one wrong letter of three is another word
MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, True, False)

pytestmark = [pytest.mark.media, pytest.mark.slow]


def frame_at(path: Path, seconds: float) -> Frame:
    with av.open(str(path)) as container:
        container.seek(round(seconds * av.time_base))
        picture = next(one for one in container.decode(video=0) if one.time >= seconds)
        image = np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
        return Frame(image, 0, picture.time, picture.time + 0.04)


@pytest.fixture(scope="module")
def cards(media: Path) -> dict[str, list[dict[str, Any]]]:
    """The cards of each trailer: text, start and end."""
    folder = media / "trailers" / "dev"
    return {name: json.loads((folder / f"{name}.json").read_text())["texts"] for name in TRAILERS}


@pytest.fixture(scope="module")
def read(media: Path, cards: dict[str, list[dict[str, Any]]]) -> dict[str, list[Row]]:
    """What OCR reads in the middle of each card."""
    expert = make_expert("ocr")
    model = expert.load(Resources())
    found: dict[str, list[Row]] = {}
    for name, own in cards.items():
        items: list[Any] = []
        for number, card in enumerate(own):
            frame = frame_at(media / "trailers" / "dev" / f"{name}.mp4", (card["start"] + card["end"]) / 2)
            times = (frame.start_seconds, frame.end_seconds)
            scene = Scene(number, 0, 1, card["start"], card["end"], 0, 0, *times)
            items += expert.tap(MEDIA).scene(scene, frame)
        found[name] = [row for rows in model(items) for row in rows]
    return found


@pytest.fixture
def store(kit: Kit, read: dict[str, list[Row]]) -> Store:
    kit.add(*(f"{name}.mp4" for name in TRAILERS))
    made = kit.store()
    kit.plan()
    target = write_tables(made, "ocr", {}, {"ocr": read})
    made.record_run([target], options={}, versions={}, started="2024", root=str(kit.videos))
    return made


def spelt(cards: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[str, str, float, float]]:
    """Each word of each card, with the trailer and when it is on screen."""
    for name, own in cards.items():
        for card in own:
            for word in plain(card["text"]).split():
                yield word, name, card["start"], card["end"]


def test_every_word_of_every_card_is_found(store: Store, cards: dict[str, list[dict[str, Any]]]) -> None:
    words = list(spelt(cards))
    slips = [
        (f"{word[:at]}{'x' if word[at] != 'x' else 'q'}{word[at + 1 :]}", name, start, end)
        for word, name, start, end in words
        if len(word) >= FEWEST_LETTERS
        for at in range(len(word))
    ]
    assert len(words) >= 65 and len(slips) >= 250
    asked = [*words, *slips]
    answers = run_searches(store, Searches(words=tuple(text for text, *_ in asked)), most=100)
    missed = [
        (text, name, start)
        for (text, name, start, end), answer in zip(asked, answers, strict=True)
        if not any(hit.video_id == name and start <= hit.start_seconds < end for hit in answer.hits)
    ]
    assert missed == []
    short = next(word for word, *_ in words if word == "winter")
    assert not run_searches(store, Searches(words=(f"xx{short[2:]}",)))[0].hits, "two letters are too many"
