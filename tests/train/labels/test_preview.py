"""What a table of labels is taken for, beside the videos of a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.genre_store import genre_store
from tests.train.cli.test_commands import call
from train.labels.preview import near_misses, preview, shared_videos
from train.labels.table import read_labels

VIDEOS = ("films/Café noir", "films/the white house", "films/deep blue", "films/left over")


def test_matches_misses_and_roles_are_told(tmp_path: Path) -> None:
    """UTF-16 with a row for each genre, ids with a suffix, twice in two ways, and misspelt."""
    text = (
        "year;video;genre\n1960;Café noir.mp4;War\n1960;Café noir;War\n1990;The_White_House.MP4;Drama\n"
        "1990;The_White_House.MP4;War\n2001;deep bleu;War\n1999;nowhere;Drama\n"
    )
    (tmp_path / "x.csv").write_text(text, "utf-16")
    found = preview(read_labels(tmp_path / "x.csv"), VIDEOS)
    assert found.roles == {"year": "not read", "video": "id", "genre": "genres"}
    assert found.genres == {"Drama": (2, 0), "War": (4, 2)}
    assert found.matched == {"Café noir.mp4": VIDEOS[0], "Café noir": VIDEOS[0]}
    assert shared_videos(found.matched) == [VIDEOS[0]]
    assert found.labels_alone == {"The_White_House.MP4": VIDEOS[1], "deep bleu": VIDEOS[2], "nowhere": None}
    assert found.videos_alone == {
        VIDEOS[1]: "The_White_House.MP4",
        VIDEOS[2]: "deep bleu",
        VIDEOS[3]: None,
    }


def test_of_very_many_names_only_letters_and_digits_count() -> None:
    others = [f"film {i:05d}" for i in range(6000)]
    assert near_misses(["Film_00042", "fiml 00042"], others) == {
        "Film_00042": "film 00042",
        "fiml 00042": None,
    }


def test_the_command_says_it_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    features, labels = genre_store(tmp_path, 12)
    assert call(monkeypatch, "labels", labels, "--features", features) == 0
    assert "12 of 12 labels match one of 12 videos" in capsys.readouterr().out
    labels.write_text("id,film,genres\n1,films/000,action\n2,films/001,drama\n", "utf-8")
    assert call(monkeypatch, "labels", labels, "--features", features) == 3
    said = capsys.readouterr().out
    assert "0 of 2 labels" in said and "column 'film' holds 2 of them" in said and "--id-column" in said
    labels.write_bytes("id,genres\na,Comédie\n".encode("latin-1"))
    assert call(monkeypatch, "labels", labels) == 2
    assert "iconv -f CP1252 -t UTF-8" in capsys.readouterr().err
