"""The papers, as data: their tables, their rows and their own figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from extract.errors import UsageError
from extract.presets import merged
from tests.train.comparison.reports import config
from train.comparison.config import CompareConfig
from train.comparison.paper import load_paper, paper_names
from train.comparison.stated import stated_table
from train.evaluation.figures import Scoring
from train.registry import make_model
from train.runs.training_data import options_of
from train.settings import choose

pytestmark = pytest.mark.usefixtures("no_curves")

PAPERS = paper_names()
DIMS = {"spectrogram": 130 * 513}  # of an expert that a model knows the shape of


@pytest.mark.parametrize("name", PAPERS)
@pytest.mark.slow
def test_every_row_can_be_trained(name: str, tmp_path: Path) -> None:
    paper = load_paper(name)
    experts = paper.experts or ("clip", "panns")
    asked = CompareConfig(tmp_path, experts, paper.models, paper=name, baselines=paper.baselines)
    figures = set(paper.terms.values()) | {paper.headline}
    assert paper.term(paper.headline) in paper.terms, "pictures show a column of the tables"
    assert not asked.left_out()
    for cell in {replace(cell, fine=False) for cell in asked.cells()}:
        choices = choose(
            preset=cell.preset, model=cell.model, experts=cell.experts, options=merged([cell.options])
        )
        inputs = {expert: DIMS.get(expert, 8) for expert in cell.experts}
        with torch.device("meta"):
            assert make_model(cell.model, inputs, 3, choices.model_options).inputs == inputs
        assert set(choices.model_options) <= set(options_of(cell.model))
        assert choices.training.seed == cell.seed
    thresholds = {f"@{threshold:g}" for threshold in Scoring().thresholds} | {""}
    assert {figure[figure.find("@") :] if "@" in figure else "" for figure in figures} <= thresholds
    for paper_table in paper.tables:
        assert paper_table.number.split()[0] in ("Table", "Figure")
        assert asked.rows(paper_table) or not paper_table.rows


def test_the_papers_have_their_tables() -> None:
    shown = {name: [paper_table.number for paper_table in load_paper(name).tables] for name in PAPERS}
    assert shown == {
        "fish2021": [
            "Figure 1", "Table 1", "Table 2", "Table 3", "Figure 4", "Table 4", "Table 5", "Figure 6",
            "Figure 8", "Figure 9", "Figure 10",
        ],
        "lebaron2021": ["Figure 1", "Figure 4", "Figure 5", "Figure 6"],
        "own": ["Table 1", "Table 2", "Table 3", "Figure 1"],
        "sulun2024": ["Table 1", "Table 2", "Table 3", "Figure 6"],
        "wehrmann2017": [
            "Table 1", "Table 2", "Table 3", "Table 4", "Figure 2", "Figure 5", "Figure 6", "Figure 7",
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("paper", "table", "row", "column", "value"),
    [
        ("sulun2024", "table1", "Multi-transformer", "mAP", "0.6602"),
        ("sulun2024", "table3", "with OCR and ASR averaged", "runtime s", "33.59"),
        ("fish2021", "table2", "Image", "AU(PRC)w", "0.554"),
        ("fish2021", "table3", "MMX-Trailer-20", "AU(PRC) micro", "0.589"),
        ("fish2021", "table5", "20", "Rw", "0.576"),
        ("wehrmann2017", "table1", "11", "10 samples", "0.663"),
        ("wehrmann2017", "table3", "CTT-MMC-TN", "Ranking Loss", "0.099"),
        ("wehrmann2017", "table4", "SciFi", "CTT-MMC-C", "0.398"),
        ("wehrmann2017", "table2", "3 genres", "validation", "83 (22.20%)"),
        ("fish2021", "table1", "Zhou", "video source", "IMDb+Apple"),
        ("lebaron2021", "figure5", "Combined", "AP macro", "0.564063"),
        ("lebaron2021", "figure6", "Gravity", "Poster", "horror (wrong), mystery (wrong), thriller"),
    ],
)
def test_the_papers_own_figures(paper: str, table: str, row: str, column: str, value: str) -> None:
    """As printed, and each of them under a row or column that the paper's table here has."""
    stated = stated_table(paper, table)
    assert stated is not None and stated.rows[row][column] == value


def test_the_papers_rows_are_rows_here(tmp_path: Path) -> None:
    """What is printed and has no training here is of other papers, or is a random classifier."""
    without = {}
    for name in PAPERS:
        paper = load_paper(name)
        asked = CompareConfig(
            tmp_path, paper.experts or ("a", "b"), paper.models, paper=name, baselines=paper.baselines
        )
        for paper_table in paper.tables:
            stated = stated_table(name, paper_table.name)
            rows = {row.name for row in asked.rows(paper_table)}
            if stated and paper_table.kind not in ("genres", "dataset", "splits", "films"):
                without[f"{name} {paper_table.number}"] = [row for row in stated.rows if row not in rows]
    assert without == {
        "fish2021 Table 2": ["Support", "Random"],
        "fish2021 Table 3": ["Random 9 Class", "Random 20 Class", "Moviescope"],
        "fish2021 Table 5": [],
        "lebaron2021 Figure 5": [],
        "sulun2024 Table 1": [],
        "sulun2024 Table 3": [],
        "wehrmann2017 Table 1": [],
        "wehrmann2017 Table 3": ["Random"],
    }


@pytest.mark.parametrize(
    ("paper", "options", "message"),
    [
        ("fish", {}, "no paper 'fish'; there are fish2021, lebaron2021, own, sulun2024, wehrmann2017"),
        ("fish2021", {"tables": ("models",)}, "no table 'models'; there are map, datasets, experts"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path: Path, paper: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(tmp_path, paper, ("clip",), **options)
