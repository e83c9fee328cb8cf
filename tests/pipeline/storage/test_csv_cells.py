"""CSV that a spreadsheet does not run, and that is read back as it was."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.csv_cells import escaped, unescaped, write_csv
from train.labels.cells import read_cells

NASTY = [
    "=1+1", "+1", "-2+3", "-1", "-a(1)", "@SUM(A1)", "\t=1", "\r=1",
    " =1", "=-a", "'=1", "''-x", "＝1", "\x1b[31mred", "a\nb", "\0",
    "\\x1b", "\\\\x1b", "\\x5c", "\\\x1b", "\u202egnp", "\u2028", "caf\\xe9", "C:\\new",
    "plain", "007", "'quoted'",
]  # fmt: skip


def test_no_cell_is_a_formula_or_has_control_characters() -> None:
    for name in NASTY:
        cell = escaped(name)
        assert cell.lstrip()[0] not in "=+-@＝" and not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in cell)
        assert unescaped(cell) == name
    assert [escaped(name) for name in ("plain", "007", "a-b", "'quoted'", "C:\\new", "Café")] == [
        "plain", "007", "a-b", "'quoted'", "C:\\new", "Café"
    ]  # fmt: skip


@given(st.text(alphabet=st.one_of(st.sampled_from("\\'=x15cu20e \t\x1b"), st.characters(codec="utf-8"))))
def test_every_text_is_read_back(name: str) -> None:
    assert unescaped(escaped(name)) == name


def test_our_table_is_read_back(tmp_path: Path) -> None:
    names = [name for name in NASTY if name == name.strip()]
    with (tmp_path / "x.csv").open("w", encoding="utf-8", newline="") as file:
        write_csv(file, ("id", "=genre"), [(name, -0.5) for name in names], digits=6)
    table = read_cells(tmp_path / "x.csv", "labels")
    assert table.columns["id"] == names and table.columns["=genre"][0] == "-0.500000"  # a number stays one


def test_lists_are_json_and_numbers_as_they_are() -> None:
    file = io.StringIO()
    write_csv(file, ("a", "b", "c"), [(["é", "x\x7f"], 3, 0.25)])
    assert list(csv.reader(file.getvalue().splitlines()))[1] == ['["é", "x\\x7f"]', "3", "0.25"]
