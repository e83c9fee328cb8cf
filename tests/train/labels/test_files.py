"""Files of other programs: every encoding and dialect is read, or refused with what helps."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import pickle
import zipfile
from pathlib import Path

import pytest

from train.errors import DataError
from train.labels.cells import read_cells
from train.labels.table import read_labels

TABLE = "video_id,genres\n007,Action|Sci-Fi\nCafé noir,Comédie\n"
WANTED = {"video_id": ["007", "Café noir"], "genres": ["Action|Sci-Fi", "Comédie"]}


def read(path: Path, content: bytes | str) -> dict[str, list[object]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return dict(read_cells(path, "labels").columns)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
)
@pytest.mark.parametrize("mark", [True, False])
def test_encodings_of_unicode(tmp_path: Path, encoding: str, mark: bool) -> None:
    if encoding.startswith("utf-32-") and not mark:
        pytest.skip("UTF-32 without its mark is refused")
    text = "\ufeff" + TABLE if mark and encoding[-3:] in ("-le", "-be") else TABLE
    assert read(tmp_path / "x.csv", text.encode(encoding)) == WANTED
    lines = '{"video_id": "007", "genres": "Comédie"}\n'
    assert read(tmp_path / "x.jsonl", lines.encode("utf-16"))["genres"] == ["Comédie"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp1251", "shift-jis", "utf-32-be"])
def test_other_encodings_are_refused_with_the_remedy(tmp_path: Path, encoding: str) -> None:
    text = TABLE if encoding in ("latin-1", "cp1252", "utf-32-be") else "video_id,genres\na,Драма\n"
    with pytest.raises(DataError, match="UTF-8") as caught:
        read(tmp_path / "x.csv", text.encode(encoding))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
@pytest.mark.parametrize("before", ["", "sep=X\n", '"sep=X"\r\n', "# made in 2024\n#\n", "\n# x, y\nSEP=X\n"])
def test_dialects(tmp_path: Path, delimiter: str, before: str) -> None:
    text = before.replace("X", delimiter) + TABLE.replace("|", "/").replace(",", delimiter)
    assert read(tmp_path / "x.csv", text) == {**WANTED, "genres": ["Action/Sci-Fi", "Comédie"]}


def test_a_first_column_may_be_named_after_its_numbers(tmp_path: Path) -> None:
    assert read(tmp_path / "x.csv", "#,id,genres\n1,#Alive,War\n") == {
        "#": ["1"], "id": ["#Alive"], "genres": ["War"]
    }  # fmt: skip


def test_quotation_marks(tmp_path: Path) -> None:
    quoted = 'id,genres\n"a ""b"", c",War\n'
    assert read(tmp_path / "x.csv", quoted)["id"] == ['a "b", c']
    assert read(tmp_path / "x.tsv", 'id\tgenres\n"Weird" Al\tWar\n')["id"] == ['"Weird" Al']  # as IMDb writes
    for odd in (
        'id,genres\n"Weird" Al,War\n',
        'id,genres\na,"War\nb,Drama\n',
        'id,genres\na,"[\\"War\\"]"\n',
    ):
        with pytest.raises(DataError, match="quotation mark"):
            read(tmp_path / "x.csv", odd)


def test_line_breaks_of_unicode_are_within_cells(tmp_path: Path) -> None:
    assert read(tmp_path / "x.csv", "id,genres\r\na\u2028b\x85,War\r\n")["id"] == ["a\u2028b\x85"]


@pytest.mark.parametrize("name", ["x.jsonl", "x.ndjson", "x.json", "x.csv"])
def test_an_object_on_each_line(tmp_path: Path, name: str) -> None:
    lines = '{"video_id": "007", "genres": ["Action"]}\n\n{"video_id": "b", "genres": null}\n'
    assert read(tmp_path / name, lines) == {"video_id": ["007", "b"], "genres": [["Action"], None]}


def test_json_tables(tmp_path: Path) -> None:
    rows = [{"id": 1, "genres": ["War"]}, {"id": "b", "title": "x", "genres": "Drama"}]
    found = read(tmp_path / "t.json", json.dumps(rows))
    assert found == {"id": [1, "b"], "genres": [["War"], "Drama"], "title": [None, "x"]}
    assert read_labels(tmp_path / "t.json").ids == ("1", "b")
    for content in ("{}", '["a"]', "[", "[]", '{"a": ["War"]}', '{"id": {"0": "a"}, "genres": {"0": "War"}}'):
        with pytest.raises(DataError, match=r"cannot read labels|holds no labels"):
            read(tmp_path / "t.json", content)


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.csv"])
@pytest.mark.parametrize("content", ["[" * 200_000, '{"a":' * 200_000, "[" * 200_000 + "]" * 200_000])
def test_brackets_without_end_are_one_line(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as caught:
        read_labels(tmp_path / name)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
    (tmp_path / "cell.csv").write_text(f'id,genres\na,"{content[:100_000]}"\n'.replace('"a"', '""a""'))
    with pytest.raises(DataError, match="row 2: genres is"):
        read_labels(tmp_path / "cell.csv")


def test_other_kinds_of_files_say_what_to_do(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
    raw = TABLE.encode()
    kinds = {
        (tmp_path / "book.xlsx").read_bytes(): "Excel.*CSV UTF-8",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "Excel.*CSV UTF-8",
        gzip.compress(raw): "gunzip",
        bz2.compress(raw): "bunzip2",
        lzma.compress(raw): "unxz",
        pickle.dumps(raw): "pickle",
        b"ARROW1\0\0": "Parquet",
        b"SQLite format 3\0": "SQLite",
        b"%PDF-1.7": "a PDF.*CSV",
        b"<!DOCTYPE html><html>": "a web page.*download the table",
        b"<HTML><body>": "a web page",
        b"1::Toy Story (1995)::Comedy\n": "separated by ::.*tabs",
        b"GIF89a\0\1\2\3": "not text",
    }
    for content, remedy in kinds.items():
        with pytest.raises(DataError, match=remedy):
            read(tmp_path / "x.csv", content)


def test_a_table_of_one_column_is_no_table_of_labels(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("video_id genres\na War\n")
    with pytest.raises(DataError, match=r"only one column .*commas, semicolons, tabs"):
        read_labels(tmp_path / "x.csv")


def test_the_cases_of_users_are_read(shared: Path, tmp_path: Path) -> None:
    folder = shared / "cases/labels"
    plain = read_labels(folder / "plain.csv")
    for name in ("numpy_list.csv", "tuple.csv", "utf16.csv", "sepline.csv", "comment.csv", "lines.jsonl"):
        found = read_labels(folder / name)
        assert (found.ids, found.genres) == (plain.ids, plain.genres), name
    mixed = read_labels(folder / "case_mixed.csv")
    assert mixed.genres == ("Action", "Comédie", "DRAMA", "Sci-Fi")  # each as most rows spell it
    assert mixed.matrix.tolist() == plain.matrix.tolist()
    assert "'Drama': read as 'DRAMA'" in " ".join(mixed.notes)
    missing = read_labels(folder / "na_genre.csv")
    assert missing.genres == plain.genres and "8 rows have no id or no genres" in missing.notes[0]
    assert read_labels(folder / "one_class.csv").genres == ("Action",)
    with pytest.raises(DataError, match="'genres', 'genres'"):
        read_labels(folder / "dup_header.csv")
