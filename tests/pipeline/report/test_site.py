"""The files of a report: what they hold, where they may be written, and that no text in them acts."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from extract.errors import StoreError, UsageError
from pipeline.pages.pieces import script_json
from pipeline.report.film import film_json
from pipeline.report.lanes import Scores
from pipeline.report.site import report
from pipeline.report.video_tables import VideoTables
from pipeline.store.layout import Store
from tests.fixtures.clips import write_clip
from tests.pipeline.report.conftest import FILM


def piece(folder: Path, name: str) -> Any:
    written = (folder / "data" / f"{name}.js").read_text("ascii")
    call = re.fullmatch(r"marquee\.piece\((\"[^\"]*\"),(.*)\);\n", written, re.DOTALL)
    assert call is not None and json.loads(call[1]) == name
    return json.loads(call[2])


def test_a_film_has_its_shots_stills_words_and_failures(films: Store, tmp_path: Path) -> None:
    out = tmp_path / "site"
    made = report(films, out)
    assert (made.index, made.videos) == (out / "index.html", 3)
    film = piece(out, "films/000000")
    assert (film["id"], film["begin"], film["end"], film["fps"]) == (FILM, 0.0, 20.0, 25.0)
    assert film["shots"] == {"from": [0, 4, 9, 15], "to": [4, 9, 15, 20]}
    assert [lane["name"] for lane in film["lanes"]] == ["Titles", "Speech", "Shot length", "Brightness"]
    assert film["lanes"][0]["texts"] == ["COMING SOON", "Élise"]
    with Image.open(io.BytesIO(base64.b64decode(film["stills"]["jpeg"][2]))) as picture:
        assert picture.size == (64, 36)
    failed = piece(out, "films/000002")
    assert [(f["what"], f["why"]) for f in failed["failures"]] == [
        ("ocr, scenes, thumbnails", "moov atom not found")
    ]
    assert failed["absent"] == {"whisper": "no speech"}


def test_the_corpus_has_figures_posters_and_all_words(films: Store, tmp_path: Path) -> None:
    report(films, tmp_path / "site")
    corpus = piece(tmp_path / "site", "corpus")
    assert corpus["overview"] == {
        "videos": 3, "hours": 0.01, "shots": 5, "failed": 1, "partial": 0, "waiting": 0,
        "languages": [["en", 1]],
    }  # fmt: skip
    table = corpus["table"]
    assert table["id"] == [FILM, "films/b", "films/c"]
    assert table["shots"] == [4, 1, None]
    assert table["speech_share"][:2] == [10, 0]
    assert table["failed"] == [[], [], ["ocr, scenes, thumbnails"]]
    assert {column["key"] for column in corpus["columns"]} <= table.keys()
    posters = piece(tmp_path / "site", "posters/0000")
    assert [poster is None for poster in posters] == [False, False, True]
    assert piece(tmp_path / "site", "lines/0000") == [
        [0, "titles", 5.0, "COMING SOON"],
        [0, "titles", 9.0, "Élise"],
        [0, "speech", 1.0, "Who goes there?"],
    ]


@pytest.mark.parametrize(("start", "end", "span"), [(0.0, 4.0, (0.0, 20.0)), (100.0, 104.0, (100.0, 120.0))])
def test_the_axis_begins_where_the_films_clock_does(
    start: float, end: float, span: tuple[float, float]
) -> None:
    shots = pa.table({"start_seconds": [start], "end_seconds": [end], "scene": [0]})
    film = film_json(VideoTables("v", {"duration_seconds": 20.0}, tables={"scenes": shots}))
    assert (film["begin"], film["end"]) == span


@pytest.mark.parametrize("media", ["link", "copy", "none"])
def test_a_page_reaches_its_film(films: Store, tmp_path: Path, media: Any) -> None:
    out = tmp_path / "site"
    write_clip(tmp_path / "clips" / f"{FILM}.mp4", pts=range(4))
    report(films, out, media=media)
    address = piece(out, "films/000000")["media"]
    if media == "none":
        assert address is None and not (out / "media").exists()
    else:
        assert address.startswith("./")
        assert (out / address).resolve().is_file()
        assert (out / "media").exists() == (media == "copy")


def test_a_models_genres_come_first(films: Store, tmp_path: Path) -> None:
    def genres(video_id: str) -> Scores | None:
        return Scores(["drama"], [0], [0.0], [4.0], [[0.75]], [0.5]) if video_id == FILM else None

    report(films, tmp_path / "site", genres=genres)
    lanes = piece(tmp_path / "site", "films/000000")["lanes"]
    assert (lanes[0]["kind"], lanes[0]["scores"]) == ("scores", [[0.75]])
    assert all(lane["kind"] != "scores" for lane in piece(tmp_path / "site", "films/000001")["lanes"])


def test_a_report_is_replaced_and_nothing_else_is(films: Store, tmp_path: Path) -> None:
    out = tmp_path / "site"
    report(films, out, media="copy")
    (out / "data" / "films" / "000099.js").write_text("old")
    report(films, out)
    assert not (out / "data" / "films" / "000099.js").exists() and not (out / "media").exists()

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    with pytest.raises(StoreError, match="has files that are not a report"):
        report(films, mine)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("x")
    (out / "media").symlink_to(elsewhere)
    with pytest.raises(StoreError, match="is a link"):
        report(films, out)
    assert (elsewhere / "kept").exists() and (out / "data" / "corpus.js").exists(), "nothing was removed"
    with pytest.raises(UsageError, match="--media is 'embed'; allowed: link, copy, none"):
        report(films, out, media="embed")  # type: ignore[arg-type]


def test_a_store_that_cannot_be_read_leaves_what_is_there(films: Store, tmp_path: Path) -> None:
    report(films, tmp_path / "old")
    for part in films.root.glob("videos/part-*"):
        part.write_bytes(b"damaged")
    for out in ("old", "new"):
        with pytest.raises(StoreError):
            report(films, tmp_path / out)
    assert (tmp_path / "old" / "data" / "corpus.js").exists() and not (tmp_path / "new").exists()


def test_no_text_can_end_a_script() -> None:
    hostile = "</script><script>alert(1)</script>\u2028&amp;'\"\\ é😀"
    written = script_json({"text": hostile})
    assert written.isascii() and not set("<>&") & set(written)
    assert json.loads(written) == {"text": hostile}
