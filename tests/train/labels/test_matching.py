"""Which video each label belongs to."""

from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import pytest

from tests.train.labels.test_table import genres_of, table
from train.errors import DataError
from train.labels.matching import match, video_ids_of

NFC, NFD = "Café noir", normalize("NFD", "Café noir")


def test_labels_find_their_videos_by_id_or_by_file_name(tmp_path: Path) -> None:
    labels = table(tmp_path / "x.csv", "id,genres\nb/x,War\na,Drama\ny,War\nz,War\ngone,War\n")
    found = match(labels, ["b/x", "films/a", "one/y", "two/y", "c/z", "z", "lonely"])
    assert genres_of(found) == {"b/x": ["War"], "films/a": ["Drama"], "z": ["War"]}
    assert found.notes == (
        "2 labels match no video with features: left out ('y', 'gone')",
        "4 videos with features have no label: left out ('c/z', 'lonely', 'one/y', 'two/y')",
    )


def test_labels_of_other_videos_say_which_column_would_do(tmp_path: Path) -> None:
    labels = table(tmp_path / "x.csv", "id,youtube,genres\ntt1,u,War\ntt2,v,Drama\n")
    with pytest.raises(DataError, match=r"none of 2 labels .*'tt1'.*'f/v'.*column 'youtube' holds 1 of them"):
        match(labels, ["f/v", "f/w"])
    with pytest.raises(DataError, match=r"give labels whose id is the video_id"):
        match(labels, ["f/w"])


@pytest.mark.parametrize(("label", "video"), [(NFC, NFD), (NFD, NFC), (NFC, f"films/{NFD}"), (NFD, NFD)])
def test_unicode_forms_are_the_same_name(label: str, video: str) -> None:
    assert video_ids_of([label], ["x", video]) == {label: video}  # ids stay as they are stored


def test_an_id_in_two_unicode_forms_is_told(tmp_path: Path) -> None:
    assert video_ids_of([NFC], [NFC, NFD]) == {NFC: NFC}
    label = "Cafe\u0301 n\u00f6ir"
    composed, mixed = normalize("NFC", label), "Caf\u00e9 no\u0308ir"
    labels = table(tmp_path / "x.csv", f"id,genres\n{label},War\nx,War\n")
    with pytest.raises(DataError, match="several videos that differ only in Unicode form"):
        match(labels, [composed, mixed])
    assert "several videos that differ" in match(labels, [composed, mixed, "x"]).notes[0]


def test_the_suffix_of_a_video_may_stay(tmp_path: Path) -> None:
    there = ["a", "films/b", "c.mp4", "c.mkv", NFD, "Film.Name.2019.1080p"]
    wanted = {"a.mp4": "a", "b.MKV": "films/b", "c.mp4": "c.mp4", f"{NFC}.webm": NFD}
    assert video_ids_of([*wanted, "c", "Film.Name.2019.1080p", "Film.Name.2019"], there) == {
        **wanted, "Film.Name.2019.1080p": "Film.Name.2019.1080p"
    }  # fmt: skip


def test_paths_of_other_systems(tmp_path: Path) -> None:
    there = ["clips/a", "clips/b", "c"]
    wanted = {"clips\\a.mp4": "clips/a", "./clips/b.mp4": "clips/b", "./c": "c"}
    assert video_ids_of([*wanted, "/data/c.mp4"], there) == wanted
    labels = table(tmp_path / "x.csv", "path,genres\n/data/c.mp4,War\n")
    with pytest.raises(DataError, match=r"paths below the videos folder: write 'c' for '/data/c.mp4'"):
        match(labels, there)


@pytest.mark.parametrize(
    ("label", "told"), [("603.0", "once whole numbers"), ("1.2E+11", "a spreadsheet has rounded")]
)
def test_numbers_that_a_program_made_of_ids(tmp_path: Path, label: str, told: str) -> None:
    labels = table(tmp_path / "x.csv", f"id,genres\n{label},War\n")
    with pytest.raises(DataError, match=told):
        match(labels, ["603", "120000000001"])


def test_labels_of_one_video_must_agree(tmp_path: Path) -> None:
    labels = table(tmp_path / "x.csv", "id,genres\na,War\na.mp4,War\nb,Noir\n")
    found = match(labels, ["a", "b"])
    assert found.ids == ("a", "b") and found.notes == ("1 label repeats another of the same video: left out",)
    labels = table(tmp_path / "x.csv", "id,genres\na,War\na.mp4,Noir\n")
    with pytest.raises(DataError, match=r"'a' and 'a.mp4' are both labels of the video 'a'"):
        match(labels, ["a", "b"])


def test_lost_zeros_are_told(tmp_path: Path) -> None:
    labels = table(tmp_path / "x.csv", "id,genres\n7,War\n8,War\n")
    with pytest.raises(DataError, match=r"zeros at the beginning, as of '007', are lost: write ids as text"):
        match(labels, ["007", "008"])
    labels = table(tmp_path / "x.csv", "id,genres\n7,War\nb,War\n")
    assert "zeros at the beginning" in match(labels, ["007", "b"]).notes[0]
