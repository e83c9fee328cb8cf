"""Tables and figures of Sulun et al. 2024, by a stand-in for the training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sklearn.metrics import precision_score

from tests.train.comparison.reports import Report, config
from train.comparison.paper import load_paper
from train.runs.training_data import make_steps
from train.settings import choose

pytestmark = pytest.mark.usefixtures("no_curves")


@pytest.fixture(scope="module")
def sulun(tmp_path_factory: pytest.TempPathFactory) -> Report:
    paper = load_paper("sulun2024")
    asked = config(tmp_path_factory.mktemp("sulun"), "sulun2024", paper.experts, baselines=("vit", "ast"))
    return Report.of(replace(asked, seeds=(0,)))


def test_frames_are_drawn_in_inference_too(tmp_path: Path) -> None:
    asked = config(tmp_path, "sulun2024", ("clip",))
    (figure,) = asked.shown.chosen(("frames",))
    rows = asked.rows(figure)
    assert [(row.name, row.cell.steps) for row in rows[5:7]] == [("MLP", 256), ("transformer", 8)]
    for row in rows:
        choices = choose(preset=row.cell.preset, experts=("clip",), options=row.cell.options)
        steps = make_steps(choices.steps, ("clip",), optional=choices.optional)["clip"]
        assert steps.at_test == steps and (steps.cap, steps.how) == (row.cell.steps, "random")


def test_sulun_models_genres_and_features(sulun: Report) -> None:
    models = sulun.table("table1")
    assert list(models)[:5] == [
        "TSN (paper)", "I3D (paper)", "TRN (paper)", "MovieNet (paper)", "Baseline",
    ]  # fmt: skip
    assert models["Multi-transformer (paper)"]["mAP"] == "0.6602" and "TSN (no resnet152" in sulun.text
    ((target, score),) = sulun.predicted("table1", "MLP")
    expected = precision_score(target, score >= 0.5, average="macro")
    assert float(models["MLP"]["P@0.5"]) == pytest.approx(expected)
    genres = sulun.table("table2")
    assert genres["mean of the genres"]["Multi-transformer P"] == models["Multi-transformer"]["P@0.5"]
    assert genres["mean of the genres (paper)"]["Baseline R"] == "0.3217"
    ladder = sulun.table("table3")
    mine = [name for name in ladder if not name.endswith("(paper)")]
    assert mine[1:4] == ["CLIP", "with Musicnet", "with Audiotag"] and mine[-3].endswith("and ASR averaged")
    assert float(ladder["with Audiotag"]["extraction s"]) == 6 and ladder["Baseline"]["extraction s"] == ""
    assert float(ladder["with Audiotag"]["runtime s"]) == pytest.approx(6.05)
    assert ladder["Baseline (paper)"]["runtime s"] == "7.08"
    shared = [row.cell for row in sulun.config.rows(sulun.config.shown.tables[0])][-1]
    assert shared == [row.cell for row in sulun.config.rows(sulun.config.shown.tables[2])][-1]
    lines = {(row["model"], row["frames"]) for row in sulun.rows("figure6")}
    assert {("MLP", "8"), ("transformer", "256")} <= lines
