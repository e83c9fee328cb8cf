"""``marquee search`` from the command line."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli import marquee
from pipeline.store.layout import Store
from tests.fixtures.clips import write_clip
from tests.pipeline.conftest import Kit

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["marquee", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            marquee.main()
        return int(left.value.code or 0), *capfd.readouterr()

    return run


def test_words_are_found_and_written(call: Call, films: Store, tmp_path: Path) -> None:
    status, out, _ = call("search", films.root, "soon", "nobody", "--out", tmp_path / "hits.csv")
    assert status == 0
    assert "soon: 1 moment" in out and "title: COMING SOON" in out and "nobody: nothing found" in out
    with (tmp_path / "hits.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["query"], row["video_id"], float(row["start_seconds"])) == ("soon", "films/a", 5.0)
    assert call("search", films.root, "goes there", "--out", tmp_path / "hits.json")[0] == 0
    (hit,) = json.loads((tmp_path / "hits.json").read_text())
    assert (hit["why"], hit["score"]) == ("speech: Who goes there?", None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing is sought"),
        (("x", "--out", "hits.txt"), "give a name that ends in .csv or .json"),
        (("--meaning", "a car"), "no table 'clip'; the store has"),
        (("x", "--page", "hits.txt"), "give a name that ends in .html or .htm"),
        (("x", "--site", "site"), "give --page PAGE.html as well"),
        (("x", "--page", "x.html", "--site", "nowhere"), "is not a report"),
        (("x", "--cut-encode"), "give both"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(
    call: Call, films: Store, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    more = () if "--cut-encode" in arguments else ("--cut", tmp_path / "cuts")
    status, out, err = call("search", films.root, *more, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err and not (tmp_path / "cuts").exists()


def test_a_folder_for_clips_that_cannot_be_is_refused(call: Call, films: Store, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, out, err = call("search", films.root, "soon", "--cut", tmp_path / "file" / "clips")
    assert (status, out) == (2, "") and "cannot be written: Not a directory" in err


def test_moments_are_cut_out_and_what_cannot_be_is_said(
    call: Call, kit: Kit, films: Store, tmp_path: Path
) -> None:
    film, out = kit.videos / "films" / "a.mp4", tmp_path / "cut"
    film.unlink()
    write_clip(film, pts=range(240), audio_seconds=10)
    arguments = ("search", films.root, "soon", "elise", "--cut", out)
    status, said, _ = call(*arguments)
    assert (status, said.splitlines()[-1]) == (0, f"2 clips in {out}, each from the keyframe before")
    assert sorted(path.name for path in out.iterdir()) == [
        "1-001_films-a_4.00-9.00.mkv",
        "2-001_films-a_9.00-15.00.mkv",
    ]
    before = {path: path.read_bytes() for path in out.iterdir()}
    status, said, _ = call(*arguments)
    assert status == 3 and said.count("is there already: move it away") == 2 and "0 clips" in said
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    film.unlink()
    status, said, _ = call(*arguments, "--cut-encode")
    assert status == 3 and "films/a at 0:05.0 is not cut: its film is not there" in said
