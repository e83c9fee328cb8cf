"""Tables of others: columns by any usual name, and none twice."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract.errors import UsageError
from train.errors import DataError
from train.labels.cells import CellTable, read_cells


def table(path: Path, content: str) -> CellTable:
    path.write_text(content, "utf-8")
    return read_cells(path, "labels")


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("video_id,genres,genres", "'genres', 'genres'"),
        ("video_id,genres,x,x", "'x', 'x'"),
        ("id,id,genres", "'id', 'id'"),
        ("video_id,genres, genres", "'genres', ' genres'"),
        ("video_id,genres,Genres", "'genres', 'Genres'"),
        ("video_id,genres,ge\u0301,gé", "'ge\u0301', 'gé'"),
    ],
)
def test_two_columns_of_one_name_are_refused_with_both(tmp_path: Path, header: str, names: str) -> None:
    row = ",".join("abcd"[: header.count(",") + 1])
    with pytest.raises(DataError, match="has 2 columns with the same name") as caught:
        table(tmp_path / "x.csv", f"{header}\n{row}\n")
    assert names in str(caught.value) and "\n" not in str(caught.value)


def test_two_columns_of_one_name_in_other_kinds_of_files(tmp_path: Path) -> None:
    twice = pa.Table.from_arrays([pa.array(["a"])] * 3, names=["id", "genres", "genres"])
    pq.write_table(twice, tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"2 columns with the same name \('genres', 'genres'\)"):
        read_cells(tmp_path / "x.parquet", "labels")
    with pytest.raises(DataError, match="'genres' twice"):
        table(tmp_path / "x.json", '[{"id": "a", "genres": "War", "genres": "Drama"}]')
    with pytest.raises(DataError, match=r"'genres', 'Genres'"):
        table(tmp_path / "x.jsonl", '{"id": "a", "genres": "War"}\n{"id": "b", "Genres": "Drama"}\n')


def test_empty_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    assert dict(table(tmp_path / "x.csv", "id,genres,,\na,War,,\n").columns) == {
        "id": ["a"],
        "genres": ["War"],
    }
    with pytest.raises(DataError, match=r"same name \('0', '0'\).*or add the header"):
        table(tmp_path / "x.csv", "tt1,0,0\ntt2,0,1\n")
    with pytest.raises(DataError, match="columns with the same name"):
        table(tmp_path / "x.csv", "id,genres,,\na,War,x,y\n")


def test_usual_names_are_found_in_any_case(tmp_path: Path) -> None:
    found = table(tmp_path / "x.csv", " Video_ID ,GENRES\na,War\n")
    assert found.column(None, ("id", "video_id"), "id") == "Video_ID"
    assert found.usual(("tags", "videoId")) == "Video_ID" and found.usual(("tags",)) is None
    assert found.column("GENRES", (), "genres") == "GENRES"
    with pytest.raises(UsageError, match="no column 'tags'; it has Video_ID, GENRES"):
        found.column("tags", (), "genres")
