"""Tables and figures of Wehrmann and Barros 2017, by a stand-in for the training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve

from extract.errors import UsageError
from tests.train.comparison.reports import GENRES, VIDEOS, Report, config, targets, train
from train.comparison.compare import compare

pytestmark = pytest.mark.usefixtures("no_curves")


@pytest.fixture(scope="module")
def wehrmann(tmp_path_factory: pytest.TempPathFactory) -> Report:
    experts = ("resnet152", "spectrogram", "lowlevel_video")
    return Report.of(config(tmp_path_factory.mktemp("wehrmann"), "wehrmann2017", experts, seeds=(0,)))


def test_videos_by_genre_and_part(wehrmann: Report) -> None:
    table = wehrmann.table("table2")
    assert int(table["Comedy"]["test"]) == targets()[:VIDEOS, 1].sum()
    assert table["Comedy (paper)"]["training"] == "1109" and table["movies (paper)"]["test"] == "772"
    assert float(table["label cardinality"]["test"]) == pytest.approx(
        targets()[:VIDEOS].sum(axis=1).mean(), abs=0.005
    )
    assert table["1 genre"]["training"] == "0", "no training videos are pretended"


@pytest.mark.slow
def test_what_the_store_lacks_is_named(tmp_path: Path) -> None:
    asked = config(
        tmp_path, "wehrmann2017", ("lowlevel_video",), missing=("resnet152",), tables=("heads", "genres")
    )
    said: list[str] = []
    report = Report.of(asked, log=said.append)
    assert "no resnet152 among the experts: without CTT-MMC-A, CTT-MMC-B, CTT-MMC-C, LSTM" in said
    assert "Left out: CTT-MMC-A (no resnet152 among the experts)" in report.text
    assert "## Figure 2" in report.text and not (tmp_path / "figure2.svg").exists(), "no row is there"
    assert list(report.rows("table4")[0])[2] == "AV", "the others go on"
    nothing = config(tmp_path, "wehrmann2017", ("clip",), tables=("heads",))
    with pytest.raises(
        UsageError, match=r"nothing to train for wehrmann2017: no resnet152 among the experts"
    ):
        compare(nothing, train)


@pytest.mark.slow
def test_a_model_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.comparison.paper.model_names", lambda: ["svm", "ctt"])
    asked = config(tmp_path, "wehrmann2017", ("resnet152", "lowlevel_video"), tables=("models",), seeds=(0,))
    report = Report.of(asked)
    assert "LSTM (there is no model lstm)" in report.text
    assert {cell.model for cell in report.cells} == {"svm", "ctt"}


def test_every_genre(wehrmann: Report) -> None:
    table = wehrmann.table("table4")
    target = targets()[:VIDEOS]
    order = sorted(GENRES, key=lambda genre: -int(target[:, GENRES.index(genre)].sum()))
    mine = [name for name in table if not name.endswith("(paper)")]
    assert mine == [*order, "mean of the genres", "runs"], "the most common first"
    for genre in GENRES:
        number, row = GENRES.index(genre), table[genre]
        found = wehrmann.predicted("table4", "CTT-MMC-C")
        values = [average_precision_score(t[:, number], s[:, number]) for t, s in found]
        assert float(row["CTT-MMC-C"]) == pytest.approx(np.mean(values))
        assert float(row["CTT-MMC-C low"]) < np.mean(values) < float(row["CTT-MMC-C high"])
        assert int(row["videos"]) == target[:, number].sum()
        assert float(row["random"]) == pytest.approx(target[:, number].mean(), abs=0.06)
    assert table["Action (paper)"]["random"] == "0.158" and "SciFi (paper)" in table
    macro = wehrmann.table("table3")["CTT-MMC-C"]["AU(PRC) macro"]
    assert table["mean of the genres"]["CTT-MMC-C"] == macro
    assert all(f">{name}<" in wehrmann.picture("table4") for name in (*GENRES, "CTT-MMC-C", "random"))


def test_parts_by_samples_in_the_validation_split(wehrmann: Report) -> None:
    table = wehrmann.table("table1")
    assert [name for name in table if not name.endswith("(paper)")] == ["3", "5", "7", "9", "11", "random"]
    ((target, score),) = wehrmann.predicted("table1", "11", "validation")
    expected = average_precision_score(target.ravel(), score.ravel())
    assert float(table["11"]["10 samples"]) == pytest.approx(expected)
    assert table["11 (paper)"]["10 samples"] == "0.663"
    assert "60 validation videos" in (wehrmann.config.out / "table1.md").read_text("utf-8")


def test_ranking_loss_is_of_table_3(wehrmann: Report) -> None:
    table = wehrmann.table("table3")
    assert list(table)[:3] == ["VLLF", "VLLF (paper)", "AV"] and list(table)[-3:-1] == [
        "random",
        "Random (paper)",
    ]
    assert table["random"]["Ranking Loss"] and table["Random (paper)"]["Ranking Loss"] == "0.466"
    assert 0 < float(table["VLLF"]["Ranking Loss"]) < float(table["random"]["Ranking Loss"])


def test_trainings_by_epoch(wehrmann: Report) -> None:
    rows = wehrmann.rows("figure2")
    assert [(row["model"], row["epoch"]) for row in rows[:4]] == [
        ("CTT-MMC-A", "1"), ("CTT-MMC-A", "2"), ("CTT-MMC-A", "3"), ("CTT-MMC-B", "1"),
    ]  # fmt: skip
    assert float(rows[1]["training loss"]) == float(rows[1]["AU(PRC) micro"]) == 0.25
    assert ">training loss<" in wehrmann.picture("figure2") and ">CTT-MMC-B<" in wehrmann.picture("figure2")
    assert {row["parts"] for row in wehrmann.rows("figure5")} == {"3", "5", "7", "9", "11"}


def test_a_panel_for_each_genre_and_bars_for_six_films(wehrmann: Report) -> None:
    rows = wehrmann.rows("figure6")
    ((target, score),) = wehrmann.predicted("figure6", "LSTM")
    precision, recall, _ = precision_recall_curve(target[:, 0], score[:, 0])
    first = precision[np.flatnonzero(recall >= 0.5)[-1]]
    (row,) = (row for row in rows if (row["genre"], row["method"]) == ("Action", "LSTM"))
    assert float(row["at recall 0.50"]) == pytest.approx(first)
    assert all(f">{genre}<" in wehrmann.picture("figure6") for genre in GENRES)
    films = wehrmann.table("figure7")
    assert len(films) == 6 and "v005" in films
    ((_, score),) = wehrmann.predicted("figure7", "CTT-MMC-TN")
    assert float(films["v005"]["Comedy"]) == pytest.approx(score[5, 1])
    assert ">v005<" in wehrmann.picture("figure7")
