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
    ],
)
def test_what_is_wrong_is_one_line(call: Call, films: Store, arguments: tuple[str, ...], said: str) -> None:
    status, out, err = call("search", films.root, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err
