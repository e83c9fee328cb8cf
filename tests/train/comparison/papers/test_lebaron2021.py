"""Tables and figures of LeBaron, by a stand-in for the training."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.comparison.reports import Report, config

pytestmark = pytest.mark.usefixtures("no_curves")


@pytest.mark.slow
def test_the_networks_of_an_ensemble(tmp_path: Path) -> None:
    asked = config(tmp_path, "lebaron2021", ("poster", "words"), missing=("vgg16", "metadata"), seeds=(0,))
    report = Report.of(asked)
    table = report.table("figure5")
    assert list(table)[:4] == ["Poster", "Poster (paper)", "Metadata (paper)", "Video (paper)"]
    assert float(table["Combined"]["AP macro"]) > float(table["Poster"]["AP macro"])
    assert table["Text (paper)"]["AP samples"] == "0.749681"
    gravity, film = report.rows("figure6")
    assert gravity["video"] == "Gravity (paper)" and "action (wrong), drama" in gravity["Combined"]
    assert set(film) == {"video", "genres", "Poster", "Combined"}
    assert [row["epoch"] for row in report.rows("figure4")] == ["1", "2", "3"]
    assert {row["of"] for row in report.rows("figure1")} == {"genre"}
