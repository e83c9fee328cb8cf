"""Of the files that a store names, only films of its videos folder are copied or cut."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.report.command import app
from pipeline.report.site import report
from pipeline.search.cut import cut_out
from pipeline.search.hits import Answer, Hit
from pipeline.store.layout import Store
from tests.fixtures.clips import write_clip
from tests.fixtures.damage import damage
from tests.pipeline.report.conftest import FILM, films, titles
from tests.pipeline.report.test_site import piece

__all__ = ["films", "titles"]
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAA\n" * 40


@pytest.fixture
def named(films: Store, tmp_path: Path) -> Callable[[str], Store]:
    """Makes the store say that the film of ``films/a`` lies there. ``films/b`` is a film, as it should be."""
    clips = tmp_path / "clips"
    write_clip(clips / "films" / "b.mp4", pts=range(4))
    (clips / "key.mp4").write_text(KEY)
    (tmp_path / "key").write_text(KEY)
    write_clip(tmp_path / "private.mp4", pts=range(4))
    (clips / "link.mp4").symlink_to(tmp_path / "private.mp4")
    (clips / "folder").symlink_to(tmp_path)
    (clips / "mine.mp4").symlink_to(clips / "films" / "b.mp4")

    def make(path: str) -> Store:
        damage(films, "videos", "path", path.replace("TMP", str(tmp_path)))
        return films

    return make


STRANGE = (
    *("/etc/passwd", "../key", "TMP/private.mp4", "../private.mp4", "films/../../private.mp4"),
    *("key.mp4", "link.mp4", "folder/private.mp4", "folder/key"),
)


@pytest.mark.parametrize("path", STRANGE)
def test_a_report_copies_films_of_the_videos_folder_alone(
    named: Callable[[str], Store], tmp_path: Path, path: str
) -> None:
    out = tmp_path / "site"
    shown = CliRunner().invoke(app, [str(named(path).root), "--out", str(out), "--media", "copy"])
    assert shown.exit_code == 0, shown.output
    said = " ".join(shown.output.split())
    assert "left out, no media file inside the videos folder: 'films/a'" in said
    assert os.listdir(out / "media") == ["000001.mp4"]
    assert piece(out, "films/000000")["media"] is None
    assert piece(out, "films/000001")["media"] == "./media/000001.mp4"


def test_a_link_that_stays_in_the_videos_folder_is_copied(
    named: Callable[[str], Store], tmp_path: Path
) -> None:
    assert FILM not in report(named("mine.mp4"), tmp_path / "site", media="copy").refused_films
    assert (tmp_path / "site" / "media" / "000000.mp4").is_file()


@pytest.mark.parametrize("path", ["/etc/passwd", "../private.mp4", "films/../../private.mp4"])
def test_a_page_links_to_nothing_outside(named: Callable[[str], Store], tmp_path: Path, path: str) -> None:
    made = report(named(path), tmp_path / "site")
    assert made.refused_films == (FILM,) and piece(tmp_path / "site", "films/000000")["media"] is None


@pytest.mark.parametrize("path", ["/etc/passwd", "TMP/private.mp4", "../private.mp4", "key.mp4"])
def test_nothing_else_is_cut(named: Callable[[str], Store], tmp_path: Path, path: str) -> None:
    answer = Answer("q", (Hit("q", FILM, 0.0, 0.1, None, ""), Hit("q", "films/b", 0.0, 0.1, None, "")))
    (tmp_path / "cut").mkdir()
    done = cut_out(named(path), [answer], {}, tmp_path / "cut")
    assert done.written == 1 and len(done.refused) == 1 and done.refused[0].startswith("films/a at ")


def test_a_time_that_no_film_has_is_not_cut(named: Callable[[str], Store], tmp_path: Path) -> None:
    hits = tuple(Hit("q", "films/b", start, start, None, "") for start in (float("nan"), float("inf"), 1e300))
    done = cut_out(named("key.mp4"), [Answer("q", hits)], {}, tmp_path)
    assert done.written == 0 and len(done.refused) == 3
