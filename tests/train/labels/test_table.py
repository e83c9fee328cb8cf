"""Tables of labels in every spelling, and which video each label belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract.errors import UsageError
from train.errors import DataError
from train.labels.table import LabelColumns, LabelTable, duration_filter, read_labels


def table(path: Path, text: str, columns: LabelColumns | None = None, **options: Any) -> LabelTable:
    path.write_text(text, "utf-8")
    return read_labels(path, columns, **options)


def genres_of(labels: LabelTable) -> dict[str, list[str]]:
    return {
        name: [labels.genres[i] for i in np.flatnonzero(row)]
        for name, row in zip(labels.ids, labels.matrix, strict=True)
    }


WANTED = {"a": ["Drama", "Sci-Fi"], "b": ["War"]}


@pytest.mark.parametrize(
    "cells",
    [
        ('"[""Drama"", ""Sci-Fi""]"', '"[""War""]"'),  # JSON
        ("\"['Drama', 'Sci-Fi']\"", "\"['War']\""),  # a Python list as text
        ("Drama|Sci-Fi", "War"),
        ("Sci-Fi; Drama", "War"),
        ('"Drama, Sci-Fi"', "War"),
        (" Drama | Sci-Fi |", " War "),
    ],
)
def test_genres_in_every_spelling(tmp_path: Path, cells: tuple[str, str]) -> None:
    labels = table(tmp_path / "x.csv", f"\ufeffvideo_id,genres\r\na,{cells[0]}\r\nb,{cells[1]}\r\n")
    assert genres_of(labels) == WANTED
    assert labels.genres == ("Drama", "Sci-Fi", "War")


def test_a_row_for_each_genre_is_joined(tmp_path: Path) -> None:
    labels = table(tmp_path / "x.csv", "id,genre\na,Drama\nb,War\na,Sci-Fi\na,Drama\n")
    assert genres_of(labels) == WANTED
    assert labels.notes == ("1 video has a row for each genre: joined ('a': Drama, Sci-Fi)",)


def test_columns_of_flags_are_genres(tmp_path: Path) -> None:
    """As pandas and spreadsheets write them; other columns are no genres, and one flag is none either."""
    labels = table(tmp_path / "x.csv", "id,Drama,Sci-Fi,War,year\na,1,True,0,1999\nb,0,FALSE,x,1\nc,,,,1\n")
    assert genres_of(labels) == WANTED
    assert labels.notes[1] == (
        "3 columns of 0 and 1 are genres: 'Drama', 'Sci-Fi', 'War'; remove those that are none"
    )
    assert labels.roles == {"id": "id", "Drama": "genre", "Sci-Fi": "genre", "War": "genre"}
    with pytest.raises(UsageError, match="no genres column"):
        table(tmp_path / "x.csv", "id,War\na,1\nb,0\n")


def test_columns_that_are_almost_flags_are_told(tmp_path: Path) -> None:
    text = "id,genres_Drama,genres_Sci-Fi,genres_War,year\na,1,{0},0,1999\nb,0,0,1,2001\n"
    assert genres_of(table(tmp_path / "x.csv", text.format(1))) == WANTED  # pandas.get_dummies(films)
    labels = table(tmp_path / "x.csv", text.format(0.9))
    assert labels.genres == ("Drama", "War")
    assert labels.notes[1] == "other numbers than 0 and 1 are not read: 'genres_Sci-Fi' has 0.9"
    with pytest.raises(UsageError, match=r"are no flags: 'Drama' has -1, 'War' has -1; write 1 where"):
        table(tmp_path / "x.csv", "id,Drama,War\na,1,-1\nb,-1,1\n")


def test_numbered_columns_are_genres(tmp_path: Path) -> None:
    labels = table(tmp_path / "x.csv", "Film;Genre 1;Genre 2\nb;War;\na;Sci-Fi;Drama\nc;;N/A\n")
    assert genres_of(labels) == WANTED
    assert "2 columns are genres: 'Genre 1', 'Genre 2'" in labels.notes
    assert labels.roles == {"Film": "id", "Genre 1": "genres", "Genre 2": "genres"}


@pytest.mark.parametrize("rows", ["a,War|Drama\nb,Drama\n", "a.mp4,War\nb.mp4,Drama\n"])
def test_a_missing_header_is_told(tmp_path: Path, rows: str) -> None:
    with pytest.raises(DataError, match=r"has no header, but begins with 'a.*write names above it"):
        table(tmp_path / "x.csv", rows)


def test_lists_in_parquet_and_other_column_names(tmp_path: Path) -> None:
    content = pa.table({"film": [7, 8], "kinds": [["Sci-Fi", "Drama"], ["War"]], "seconds": [90.5, None]})
    pq.write_table(content, tmp_path / "x.parquet")
    labels = read_labels(tmp_path / "x.parquet", LabelColumns("film", "kinds", duration="seconds"))
    assert genres_of(labels) == {"7": ["Drama", "Sci-Fi"], "8": ["War"]}
    assert labels.duration_seconds is not None
    np.testing.assert_array_equal(labels.duration_seconds, [90.5, np.nan])
    assert labels.columns["film"] == ("7", "8")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters(tmp_path: Path, delimiter: str) -> None:
    text = f"youtube_id{delimiter}genre\na{delimiter}Drama|Sci-Fi\nb{delimiter}War\n"
    assert genres_of(table(tmp_path / "x.csv", text)) == WANTED


def test_rows_that_do_not_count_are_counted(tmp_path: Path) -> None:
    labels = table(tmp_path / "x.csv", "id,genres\na,War\nb,\nc,[]\na,War\n,Drama\n")
    assert genres_of(labels) == {"a": ["War"], "c": []}
    assert [note.split(":")[0] for note in labels.notes] == [
        "2 rows have no id or no genres",
        "1 row is a duplicate",
        "1 video has no genre, in an empty list or row of flags",
    ]


def test_rows_without_a_label_are_counted_however_they_say_so(tmp_path: Path) -> None:
    cells = ("N/A", "\\N", "nan", "null", "None", "NULL", "", "-", "\"['N/A']\"", "NaN|", "[None]")
    lines = [f"v{i},{cell}\n" for i, cell in enumerate(cells)]
    labels = table(tmp_path / "x.csv", "id,genres\na,War\nN/A,War\n" + "".join(lines))
    assert genres_of(labels) == {"a": ["War"]}
    assert labels.notes[0].startswith(f"{len(cells) + 1} rows have no id or no genres: left out")


def test_spellings_of_one_genre_are_one_genre(tmp_path: Path) -> None:
    genres = ("ACTION", "Action|come\u0301die", "Action", "Comédie|action", " Film  Noir", "Film\xa0Noir")
    text = "id,genres\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(genres))
    labels = table(tmp_path / "x.csv", text)
    assert labels.genres == ("Action", "Film Noir", "comédie")  # the most frequent, or the first, spelling
    assert labels.matrix.sum(axis=0).tolist() == [4, 2, 2]
    assert labels.notes == (
        "'ACTION', 'action': read as 'Action', which is spelt differently",
        "'Comédie': read as 'comédie', which is spelt differently",
    )
    given = table(tmp_path / "x.csv", text, vocabulary=("ACTION", "Comédie"))
    assert given.genres == ("ACTION", "Comédie") and given.matrix.sum(axis=0).tolist() == [4, 2]


def test_rows_of_one_id_agree_whatever_the_spelling(tmp_path: Path) -> None:
    labels = table(tmp_path / "x.csv", "id,genres\nCafé,War\nCafe\u0301,WAR\nb,War\n")
    assert labels.ids == ("Café", "b") and "1 row is a duplicate" in labels.notes[0]
    with pytest.raises(DataError, match=r"twice \(in two Unicode forms\) with different genres"):
        table(tmp_path / "x.csv", "id,genres\nCafé,War|Noir\nCafe\u0301,Drama\n")


@pytest.mark.parametrize(
    ("cells", "name"),
    [(("Action/Drama", "War"), "Action/Drama"), (("War|Noir", "Action, Drama"), "Action, Drama")],
)
def test_a_mark_that_may_separate_is_noted(tmp_path: Path, cells: tuple[str, str], name: str) -> None:
    labels = table(tmp_path / "x.csv", f'id,genres\na,"{cells[0]}"\nb,"{cells[1]}"\n')
    assert name in labels.genres
    (note, *_) = labels.notes
    assert note.startswith("1 genre contains a character that may be a separator") and repr(name) in note


def test_ids_are_text(tmp_path: Path) -> None:
    ids = ("Café noir", "007", "sub/deep one", "Film.Name.2019.1080p", "tt0111161", "v000", "v042", "-aB_c")
    text = "video_id,genres\n" + "".join(f"{name},War\n" for name in ids)
    assert table(tmp_path / "x.csv", text).ids == ids
    assert table(tmp_path / "x.tsv", text.replace(",", "\t")).ids == ids


def test_groups_and_durations_that_are_missing(tmp_path: Path) -> None:
    text = "id,genres,film,t\na,War,N/A,\\N\nb,War,n/a,1.5\nc,War,Café,2\nd,War,Cafe\u0301,nan\n"
    labels = table(tmp_path / "x.csv", text, LabelColumns(group="film", duration="t"))
    assert labels.groups is not None and len(set(labels.groups)) == 3 and labels.groups[2] == labels.groups[3]
    assert labels.duration_seconds is not None
    np.testing.assert_array_equal(labels.duration_seconds, [np.nan, 1.5, 2, np.nan])


def test_rare_genres_and_a_given_vocabulary(tmp_path: Path) -> None:
    text = "id,genres\na,War|Drama\nb,War\nc,Drama|Noir\n"
    rare = table(tmp_path / "x.csv", text, least_videos=2)
    assert rare.genres == ("Drama", "War") and "1 genre has fewer than 2 videos" in rare.notes[0]
    given = table(tmp_path / "x.csv", text, vocabulary=("War", "Western"))
    assert given.genres == ("War", "Western") and given.matrix.tolist() == [[1, 0], [1, 0], [0, 0]]
    assert "2 genres are not in the vocabulary" in given.notes[0]
    often = table(tmp_path / "x.csv", text, most_frequent=2)
    assert (
        often.genres == ("Drama", "War")
        and "not among the 2 most frequent: left out ('Noir')" in often.notes[0]
    )
    assert table(tmp_path / "x.csv", text, most_frequent=1).genres == ("Drama",)  # War has as many
    assert table(tmp_path / "x.csv", text, most_frequent=9).notes == ()
    with pytest.raises(DataError, match="no genre has 9 videos"):
        table(tmp_path / "x.csv", text, least_videos=9)


@pytest.mark.parametrize(
    ("text", "columns", "error", "what"),
    [
        ("a,b\n1,2\n", None, UsageError, r"no id column with a usual name .* it has a, b: name one"),
        ("id,b\n1,2\n", None, UsageError, r"no genres column"),
        ("id,genres\n1,2\n", LabelColumns(group="film"), UsageError, r"no column 'film'; it has id, genres"),
        ("id,genres\na,War|Noir\na,Drama\n", None, DataError, r"'a' twice with different genres"),
        ("id,genres\na,War\nb,\"[1, 2]\"\n", None, DataError, r"row 3: genres is '\[1, 2\]'"),
        ("id,genres\na,\"[War\"\n", None, DataError, r"row 2: genres is '\[War'"),
        ("id,genres\na,War,Drama\n", None, DataError, r"row 2 has a different number of cells"),
        ("id,genres\n", None, DataError, r"holds no labels"),
        ("", None, DataError, r"holds no labels"),
        ("id,genres\na,\n", None, DataError, r"no row with an id and genres"),
        ("id,genres,t\na,War,long\n", LabelColumns(duration="t"), DataError, r"'t' is not a number of sec"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(
    tmp_path: Path, text: str, columns: LabelColumns | None, error: type[Exception], what: str
) -> None:
    with pytest.raises(error, match=what) as caught:
        table(tmp_path / "x.csv", text, columns)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere.csv", "x.parquet", "latin.csv"])
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    (tmp_path / "latin.csv").write_bytes("id,genres\na,Comédie\n".encode("latin-1"))
    with pytest.raises(DataError, match="cannot read labels"):
        read_labels(tmp_path / name)


def test_the_duration_filter_is_the_inner_fence(tmp_path: Path) -> None:
    seconds = [10, 20, 30, 40, 75, 76, ""]  # quartiles 22.5, 66.25: fences -43.1 and 131.9
    text = "id,genres,t\n" + "".join(f"v{i},War,{value}\n" for i, value in enumerate([*seconds, 900]))
    labels = table(tmp_path / "x.csv", text, LabelColumns(duration="t"))
    kept = duration_filter(labels)
    assert kept.ids == ("v0", "v1", "v2", "v3", "v4", "v5", "v6")
    assert kept.notes[-1].startswith("1 video is shorter than") and len(kept.columns["t"]) == 7
    with pytest.raises(UsageError, match="needs durations"):
        duration_filter(table(tmp_path / "x.csv", text))


@pytest.mark.slow
def test_a_published_table_is_read_as_it_is(shared: Path) -> None:
    labels = read_labels(
        shared / "data/movienet_labels.csv", LabelColumns(duration="duration"), least_videos=2
    )
    assert len(labels.ids) == 26412 and len(labels.genres) == 21
    assert labels.ids[0] == "f0yEkRCpCmw"  # of several columns with ids, the trailer's own
    assert labels.matrix[:, labels.genres.index("Drama")].sum() == 12713


def test_selecting_keeps_all_columns_in_step(tmp_path: Path) -> None:
    text = "id,genres,film,t\na,War,f,1\nb,Drama,,2\nc,War,g,3\n"
    labels = table(tmp_path / "x.csv", text, LabelColumns(group="film", duration="t"))
    assert labels.groups is not None and labels.groups[0] == "f" and labels.groups[1] not in ("f", "g", "")
    chosen = labels.select(np.array([False, True, True]))
    assert (
        chosen.ids == ("b", "c") and chosen.columns["t"] == ("2", "3") and chosen.groups == labels.groups[1:]
    )
    assert chosen.rows(["c", "b"]).tolist() == labels.matrix[[2, 1]].tolist()
    assert chosen.columns["genres"] == ("Drama", "War")
