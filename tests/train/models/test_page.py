"""docs/train.md tells of every model."""

from __future__ import annotations

import re
from pathlib import Path

from train.registry import model_names

PAGE = Path(__file__).parents[3] / "docs" / "train.md"


def test_the_table_of_models_is_the_directory() -> None:
    section = PAGE.read_text("utf-8").partition("\n## Models\n")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `([\w-]+)`(?: \(default\))? \|", section, flags=re.M)
    there = model_names()
    assert sorted(told) == there, (
        "docs/train.md, section Models: the table needs a row | `NAME` | what it is | for each file of "
        f"train/models and no other; missing: {sorted(set(there) - set(told))}, too many: "
        f"{sorted(set(told) - set(there))}, twice: {sorted({name for name in told if told.count(name) > 1})}"
    )
