"""A report is not lost to one odd value of a store: the value is left out, and told of."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline.about.summary import summarise
from pipeline.report.command import app
from pipeline.report.site import report
from pipeline.search.word_index import WordIndex
from pipeline.store.layout import Store
from pipeline.store.reading import read
from tests.fixtures.damage import damage, spoil
from tests.pipeline.report.conftest import FILM, still
from tests.pipeline.report.test_site import piece

JPEG: bytes = still(0, 0.0, (200, 30, 30))["jpeg"]
HUGE = JPEG.replace(b"\x00\x24\x00\x40", b"\xff\xff\xff\xff", 1)  # as if it had 65535 x 65535 pixels


@pytest.mark.parametrize(
    "jpeg", [None, b"", b"a text", JPEG[:-60], JPEG[:9], b"%!PS-Adobe-3.0 EPSF-3.0\n", HUGE]
)
def test_a_damaged_picture_is_grey_and_counted(films: Store, tmp_path: Path, jpeg: bytes | None) -> None:
    for row in (1, 2, 4):  # of films/a both in the middle, of films/b the only one
        damage(films, "thumbnails", "jpeg", jpeg, row=row)
    shown = CliRunner().invoke(app, [str(films.root), "--out", str(tmp_path / "site")])
    assert shown.exit_code == 0, shown.output
    assert "3 damaged pictures shown grey" in " ".join(shown.output.split())
    stills = piece(tmp_path / "site", "films/000000")["stills"]
    assert (stills["size"], stills["damaged"]) == ([64, 36], 2)
    assert [is_grey(picture) for picture in stills["jpeg"]] == [False, True, True, False]
    assert [is_grey(poster) for poster in piece(tmp_path / "site", "posters/0000")[:2]] == [False, True]


def is_grey(picture: str) -> bool:
    with Image.open(io.BytesIO(base64.b64decode(picture))) as opened:
        red, green, blue = opened.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    return max(red, green, blue) - min(red, green, blue) < 12 and abs(red - 128) < 12


def test_a_sound_store_is_said_to_have_no_damage(films: Store, tmp_path: Path) -> None:
    made = report(films, tmp_path / "site")
    assert (made.damaged_pictures, made.untimed_rows, made.damaged_parts) == (0, 0, ())


@pytest.mark.parametrize("seconds", [None, math.nan, -math.inf, 1e300])
@pytest.mark.parametrize("column", ["start_seconds", "end_seconds"])
@pytest.mark.parametrize("table", ["scenes", "thumbnails", "ocr", "whisper"])
def test_a_row_that_lies_nowhere_in_time_is_left_out(
    films: Store, tmp_path: Path, table: str, column: str, seconds: float | None
) -> None:
    damage(films, table, column, seconds, row=1 if table == "scenes" else 0)
    made = report(films, tmp_path / "site")
    film = piece(tmp_path / "site", "films/000000")
    assert (made.untimed_rows, film["begin"], film["end"]) == (1, 0.0, 20.0)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        *[("videos", "duration_seconds", value) for value in (math.nan, math.inf, -math.inf, 1e300)],
        *[("videos", "fps", value) for value in (math.nan, math.inf)],
        *[("thumbnails", "colours", value) for value in (None, [], [1.0], [math.nan] * 15, [1e30] * 15)],
        *[("whisper", column, None) for column in ("text", "language")],
        *[("ocr", "corrected", value) for value in (None, "very long " * 100_000)],
        ("videos", "path", "x" * 5000),
    ],
)
def test_an_odd_value_costs_itself_alone(
    films: Store, tmp_path: Path, table: str, column: str, value: Any
) -> None:
    damage(films, table, column, value)
    assert report(films, tmp_path / "site", media="copy").videos == 3
    film = piece(tmp_path / "site", "films/000000")
    assert (film["id"], film["begin"], film["end"]) == (FILM, 0.0, 20.0)


@pytest.mark.parametrize("table", ["scenes", "thumbnails", "ocr", "whisper"])
def test_a_part_that_cannot_be_read_is_still_to_do(films: Store, tmp_path: Path, table: str) -> None:
    spoil(films, table)
    made = report(films, tmp_path / "site")
    (line,) = made.damaged_parts
    assert f"/{table}/part-00000" in line and "cannot be read" in line and "verify" in line
    assert table not in piece(tmp_path / "site", "films/000000")["read"]


def test_a_table_of_which_no_part_is_valid_is_still_to_do(films: Store, tmp_path: Path) -> None:
    for path in (Path(str(films.root)) / "scenes").iterdir():
        path.write_bytes(b"")
    report(films, tmp_path / "site")
    assert "scenes" not in piece(tmp_path / "site", "films/000000")["read"]
    assert len(read(films, "ocr")) == 2


def test_words_without_a_possible_time_are_not_found(films: Store) -> None:
    damage(films, "ocr", "start_seconds", math.nan)
    index = WordIndex(films)
    assert [index.search(word) for word in ("coming", "zzz")] == [[], []] and index.search("élise")
    index.close()


def test_figures_are_of_what_can_be_read(films: Store) -> None:
    damage(films, "scenes", "start_seconds", math.inf, row=1)
    damage(films, "videos", "duration_seconds", math.inf)
    spoil(films, "whisper")
    found = summarise(films)
    assert found.figures["shots"].tolist()[:2] == [3, 1]
    assert math.isnan(found.figures["duration_seconds"][0]) and found.languages == {}
