"""Cells as they come in tables of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from train.errors import DataError
from train.labels.cells import names_of, read_cells, separator_of, text
from train.labels.table import read_labels


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("War|Drama| ", ["Drama", "War"]),
        ('["War", "Film, noir"]', ["Film, noir", "War"]),
        ("['War', 'L\\'amour']", ["L'amour", "War"]),
        (["b", "a", "a"], ["a", "b"]),
        ("[{'id': 1, 'name': 'War'}, {\"name\": 'Drama'}]", ["Drama", "War"]),
        ([{"name": "War"}], ["War"]),
        (1999.0, ["1999"]),
        ("[]", []),
        ("", None),
        (" ", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_names_in_a_cell(cell: Any, names: list[str] | None) -> None:
    assert names_of(cell, "|") == names


@pytest.mark.parametrize("cell", ["[War", "[1, 2]", '[{"a": 1}]', "[" * 9000, [["a"]], [{"id": 1}], {"a": 1}])
def test_what_is_no_list_of_names(cell: Any) -> None:
    with pytest.raises(ValueError, match="list"):
        names_of(cell, "|")


def test_the_separator_is_the_first_allowed_one_that_the_column_has() -> None:
    assert separator_of(["a;b", "c,d", None, "['x|y']"]) == ";"
    assert separator_of(["Doe, Jane"], "|;") is None and names_of("Doe, Jane", None) == ["Doe, Jane"]


def test_text_is_what_utf8_can_hold() -> None:
    assert text("\ud800x ") == "\\ud800x" and text(603.0) == "603" and text(7.5) == "7.5" and text(0) == "0"


def test_json_tables(tmp_path: Path) -> None:
    rows = [{"id": 1, "genres": ["War"]}, {"id": "b", "title": "x", "genres": "Drama"}]
    (tmp_path / "t.json").write_text(json.dumps(rows))
    table = read_cells(tmp_path / "t.json", "movies")
    assert table.columns == {"id": [1, "b"], "genres": [["War"], "Drama"], "title": [None, "x"]}
    assert read_labels(tmp_path / "t.json").ids == ("1", "b")
    for content in ("{}", '["a"]', "[", "[]"):
        (tmp_path / "t.json").write_text(content)
        with pytest.raises(DataError, match=r"cannot read movies|holds no movies"):
            read_cells(tmp_path / "t.json", "movies")
