"""The paper's own figures beside those of the user."""

from __future__ import annotations

from train.comparison.stated import StatedTable, beside, stated_table
from train.evaluation.tables import Estimate, Table

MINE = Table(
    "table1",
    "Table 1",
    "model",
    ("mAP", "runs"),
    (("CTT", (Estimate(0.5), "1/1")), ("mine", (Estimate(0.4), "1/1")), ("LSTM", (Estimate(0.3), "1/1"))),
    (("random", (Estimate(0.1), "")),),
)
STATED = StatedTable(
    ("mAP", "loss"),
    {
        "Random": {"mAP": "0.2", "loss": "0.46"},
        "VLLF": {"mAP": "0.278", "loss": "0.25"},
        "ctt": {"mAP": "0.646", "loss": "0.09"},
        "SVM": {"mAP": "0.455", "loss": "0.15"},
    },
)


def test_printed_rows_stand_below_ours_and_those_of_the_paper_alone_in_their_place() -> None:
    table = beside(MINE, STATED, "told")
    assert table.columns == ("mAP", "runs", "loss") and table.notes == ("told",)
    assert [name for name, _ in table.rows] == [
        "VLLF (paper)", "CTT", "ctt (paper)", "SVM (paper)", "mine", "LSTM",
    ]  # fmt: skip
    rows = dict((*table.rows, *table.baselines))
    assert rows["CTT"] == (Estimate(0.5), "1/1", "") and rows["ctt (paper)"] == ("0.646", "", "0.09")
    assert [name for name, _ in table.baselines] == ["random", "Random (paper)"]
    assert "| ctt (paper) | 0.646 |  | 0.09 |" in table.markdown()
    assert "\nctt (paper),0.646,,,,,0.09\n" in table.csv()


def test_names_are_the_same_where_letters_and_digits_are() -> None:
    stated = StatedTable(("mAP",), {"SciFi": {"mAP": "0.4"}})
    mine = Table("t", "t", "genre", ("map",), (("Sci-Fi", (Estimate(0.5),)),))
    assert beside(mine, stated).rows[1] == ("SciFi (paper)", ("0.4",))


def test_a_table_without_figures_has_none() -> None:
    assert stated_table("wehrmann2017", "figure2") is None
