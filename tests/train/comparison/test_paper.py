"""The tables of every paper, by a stand-in for the training whose quality is known."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve

from extract.errors import UsageError
from extract.presets import merged
from train.comparison.compare import compare
from train.comparison.config import CompareConfig
from train.comparison.paper import Cell, load_paper, paper_names
from train.evaluation.evaluate import read_predictions
from train.evaluation.figures import Scoring
from train.labels.splits import Part
from train.registry import make_model, model_options
from train.runs.run_folder import RunFolder, write_predictions
from train.runs.training_data import options_of
from train.settings import choose

pytestmark = pytest.mark.usefixtures("no_curves")

PAPERS = paper_names()
DIMS = {"spectrogram": 130 * 513}  # of an expert that a model knows the shape of
GENRES = ("action", "comedy", "drama")
VIDEOS = 60
QUALITY = {"senet": 2.0, "places": 0.5, "vggish": 1.0, "resnet152": 1.5, "lowlevel_video": 0.3}


def splits() -> list[str]:
    return ["test"] * VIDEOS + ["validation"] * VIDEOS


def targets() -> NDArray[np.bool_]:
    return np.random.default_rng(0).random((2 * VIDEOS, 3)) < (0.5, 0.3, 0.2)


def train(cell: Cell, folder: Path) -> None:
    """What a training would write: the more of ``QUALITY`` the experts have, the better the scores."""
    target = targets()
    quality = sum(QUALITY.get(name, 1.0) for name in cell.experts)
    noise = np.random.default_rng(1 + cell.seed).normal(size=target.shape)
    run = RunFolder(folder)
    write_predictions(
        run.predictions_path,
        GENRES,
        ids=[f"v{n:03d}" for n in range(2 * VIDEOS)],
        splits=splits(),
        targets=target,
        scores=(1 / (1 + np.exp(-(noise + quality * (target - 0.5))))).astype(np.float32),
    )
    if cell.fine:
        rows = [f"{epoch},{0.3 - 0.1 * epoch + 0.01 * cell.seed}" for epoch in range(3)]
        (folder / "silhouette.csv").write_text("\n".join(["epoch,silhouette", *rows]) + "\n", "utf-8")
        (folder / "fine").touch()
    run.write_json(run.training_path, {"seconds": 10.0, "parameters": 1000 + len(cell.experts)})


def embed(run: Path, part: Part) -> tuple[list[str], NDArray[np.float32]]:
    """The genres can be seen in the space, in the fine-tuned one less so. Ids are in another order."""
    noise = 3.0 if (run / "fine").exists() else 0.5
    vectors = targets() + noise * np.random.default_rng(0).normal(size=(2 * VIDEOS, 3))
    mine = [n for n, split in enumerate(splits()) if split == part][::-1]
    return [f"v{n:03d}" for n in mine], vectors[mine].astype(np.float32)


def config(out: Path, paper: str, experts: tuple[str, ...], **more: Any) -> CompareConfig:
    known: dict[str, Any] = {"seeds": (0, 1), "scoring": Scoring(resamples=20)}
    return CompareConfig(out, experts, paper=paper, **(known | more))


@dataclass(frozen=True)
class Report:
    config: CompareConfig
    cells: list[Cell]
    text: str

    @classmethod
    def of(cls, made: CompareConfig, fit: Callable[[Cell, Path], None] = train, **more: Any) -> Report:
        cells: list[Cell] = []

        def fitted(cell: Cell, run: Path) -> None:
            cells.append(cell)
            fit(cell, run)

        return cls(made, cells, compare(made, fitted, embed=embed, **more).read_text("utf-8"))

    def table(self, name: str) -> dict[str, dict[str, str]]:
        with (self.config.out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.config.out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def predicted(self, table: str, row: str) -> list[tuple[NDArray[np.bool_], NDArray[np.float64]]]:
        """Target and score of the test split, of each seed."""
        (paper_table,) = self.config.shown.chosen((table,))
        (cell,) = (each.cell for each in self.config.rows(paper_table) if each.name == row)
        runs = [self.config.folder(replace(cell, seed=seed)) for seed in self.config.seeds]
        found = [read_predictions(run / "predictions.parquet", split="test") for run in runs]
        return [(np.asarray(each.target, bool), np.asarray(each.score)) for each in found]

    def picture(self, name: str) -> str:
        return (self.config.out / f"{name}.svg").read_text("utf-8")


@pytest.fixture(scope="module")
def fish(tmp_path_factory: pytest.TempPathFactory) -> Report:
    asked = config(
        tmp_path_factory.mktemp("fish"),
        "fish2021",
        ("senet", "vggish"),
        missing=("places", "i3d", "r2plus1d"),
        tables=("map", "experts", "genres", "silhouette", "retrieval"),
    )
    return Report.of(asked)


@pytest.fixture(scope="module")
def wehrmann(tmp_path_factory: pytest.TempPathFactory) -> Report:
    asked = config(
        tmp_path_factory.mktemp("wehrmann"),
        "wehrmann2017",
        ("resnet152", "lowlevel_video"),
        missing=("spectrogram",),
        tables=("models", "genres", "curves"),
    )
    return Report.of(asked)


@pytest.mark.parametrize("name", PAPERS)
@pytest.mark.slow
def test_every_row_can_be_trained(name: str, tmp_path: Path) -> None:
    paper = load_paper(name)
    experts = paper.experts[:3] or ("clip", "panns")
    asked = CompareConfig(tmp_path, experts, paper.models, paper=name)
    figures = set(paper.terms.values()) | {paper.headline}
    assert paper.term(paper.headline) in paper.terms, "pictures show a column of the tables"
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
        assert paper_table.number.split()[0] in ("Table", "Figure") and asked.rows(paper_table)


def test_the_papers_have_their_tables() -> None:
    shown = {name: [paper_table.number for paper_table in load_paper(name).tables] for name in PAPERS}
    assert shown == {
        "fish2021": ["Figure 1", "Table 2", "Table 3", "Table 5", "Figure 6", "Figure 9"],
        "lebaron2021": ["Figure 5"],
        "sulun2024": ["Table 1", "Table 2", "Table 3", "Figure 6"],
        "wehrmann2017": ["Table 1", "Table 3", "Table 4", "Figure 2"],
    }


def test_a_row_is_what_its_name_says(tmp_path: Path) -> None:
    asked = config(tmp_path, "fish2021", ("senet",))
    (sequences,) = asked.shown.chosen(("table3",))
    assert [row.name for row in asked.rows(sequences)] == ["1", "5", "9", "20"]
    for row in asked.rows(sequences):
        cell = row.cell
        choices = choose(preset=cell.preset, options=merged([{"model": {"clips": "7"}}, cell.options]))
        assert model_options(cell.model, choices.model_options).clips == int(row.name), (
            "--set does not move it"
        )


@pytest.mark.slow
def test_tables_share_their_trainings(fish: Report) -> None:
    assert len(fish.cells) == len(set(fish.cells))
    assert len(fish.cells) == 2 * (2 + 1 + 1 + 1), "single experts, all twice, fine"
    coarse = [cell for cell in fish.cells if not cell.fine]
    fine = [cell for cell in fish.cells if cell.fine]
    assert {cell.coarse for cell in fine} <= set(coarse)
    assert all(fish.cells.index(cell.coarse) < fish.cells.index(cell) for cell in fine)
    record = json.loads((fish.config.out / "cells.json").read_text("utf-8"))
    assert [entry["error"] for entry in record] == [None] * len(fish.cells)
    assert sum(entry.get("fine", False) for entry in record) == 2
    assert record[0]["changes"] == ["model.fusion=gated", "model.clips=9"]
    again = Report.of(replace(fish.config, tables=("experts",)))
    assert again.cells == [] and again.text in fish.text
    label = "mmx-fusion=gated-clips=9-fine-senet+vggish-seed-0"
    assert fish.config.folder(fine[0]).name.startswith(label)
    more = set(replace(fish.config, tables=()).cells()) - set(fish.cells)
    assert {change for cell in more for change in cell.changes} == {
        "model.fusion=gated", "model.clips=1", "model.clips=5", "model.clips=20",
    }  # fmt: skip
    other = replace(fish.config, finetune={"epochs": 3})
    assert other.folder(coarse[0]) == fish.config.folder(coarse[0])
    assert other.folder(fine[0]) != fish.config.folder(fine[0])


def test_fish_experts_and_lengths(fish: Report) -> None:
    table = fish.table("table2")
    rows = ["senet", "vggish", "senet + vggish", "all, side by side", "all, gated", "random"]
    assert list(table) == [*rows, "genre frequencies"]
    means = {name: float(row["F1 weighted"]) for name, row in table.items()}
    assert means["all, gated"] > means["senet"] > means["vggish"] > means["random"]
    expected = [f1_score(t, s >= 0.3, average="weighted") for t, s in fish.predicted("table2", "senet")]
    assert means["senet"] == pytest.approx(np.mean(expected))
    assert float(table["senet"]["F1 weighted low"]) < means["senet"]
    assert "decisions at a score of 0.3" in fish.text and ">F1 weighted<" in fish.picture("table2")


@pytest.mark.slow
def test_what_the_store_lacks_is_named(fish: Report, wehrmann: Report, tmp_path: Path) -> None:
    assert 'The store has no places, i3d, r2plus1d: "all" leaves them out.' in fish.text
    assert "Left out: places (no places among the experts); i3d (no i3d among the experts)" in fish.text
    assert "Left out: CTT-MMC-S (no spectrogram among the experts); CTT-MMC-TN" in wehrmann.text
    rows = ["SVM, VLLF", "SVM, AV", "LSTM", "CTT-MMC-C", "random", "genre frequencies"]
    assert list(wehrmann.table("table3")) == rows, "the others go on"
    asked = config(
        tmp_path, "wehrmann2017", ("lowlevel_video",), missing=("resnet152",), tables=("heads", "genres")
    )
    said: list[str] = []
    report = Report.of(asked, log=said.append)
    assert "no resnet152 among the experts: without CTT-MMC-A, CTT-MMC-B, CTT-MMC-C, LSTM" in said
    assert "## Table 1" in report.text and not (tmp_path / "table1.svg").exists(), "none of its rows is there"
    assert list(report.rows("table4")[0])[2] == "SVM, VLLF", "the others go on"
    nothing = config(tmp_path, "wehrmann2017", ("clip",), tables=("heads",))
    with pytest.raises(
        UsageError, match=r"nothing to train for wehrmann2017: no resnet152 among the experts"
    ):
        compare(nothing, train)


@pytest.mark.slow
def test_a_model_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.comparison.paper.model_names", lambda: ["svm", "ctt"])
    report = Report.of(config(tmp_path, "wehrmann2017", ("resnet152", "lowlevel_video"), tables=("models",)))
    assert "LSTM (there is no model lstm)" in report.text
    assert {cell.model for cell in report.cells} == {"svm", "ctt"}


def test_every_genre(wehrmann: Report) -> None:
    table = wehrmann.table("table4")
    target = targets()[:VIDEOS]
    order = sorted(GENRES, key=lambda genre: -int(target[:, GENRES.index(genre)].sum()))
    assert list(table) == [*order, "mean of the genres", "runs"], "the most common first"
    for genre in GENRES:
        number, row = GENRES.index(genre), table[genre]
        found = wehrmann.predicted("table4", "CTT-MMC-C")
        values = [average_precision_score(t[:, number], s[:, number]) for t, s in found]
        assert float(row["CTT-MMC-C"]) == pytest.approx(np.mean(values))
        assert float(row["CTT-MMC-C low"]) < np.mean(values) < float(row["CTT-MMC-C high"])
        assert int(row["videos"]) == target[:, number].sum()
        assert float(row["random"]) == pytest.approx(target[:, number].mean(), abs=0.06)
    macro = wehrmann.table("table3")["CTT-MMC-C"]["AU(PRC) macro"]
    assert table["mean of the genres"]["CTT-MMC-C"] == macro
    assert all(f">{name}<" in wehrmann.picture("table4") for name in (*GENRES, "CTT-MMC-C", "random"))


@pytest.mark.slow
def test_precision_over_recall(wehrmann: Report) -> None:
    table = wehrmann.table("figure2")
    for t, s in wehrmann.predicted("figure2", "LSTM")[:1]:
        precision, recall, _ = precision_recall_curve(t.ravel(), s.ravel())
    first = precision[np.flatnonzero(recall >= 0.5)[-1]]
    alone = Report.of(replace(wehrmann.config, seeds=(0,), tables=("curves",)))
    assert alone.cells == []
    row = alone.table("figure2")["LSTM"]
    assert float(row["at recall 0.5"]) == pytest.approx(first)
    assert float(row["at recall 0.5 low"]) < first < float(row["at recall 0.5 high"])
    assert float(table["random"]["at recall 0.5"]) == pytest.approx(targets()[:VIDEOS].mean())
    assert table["LSTM"]["AU(PRC) micro"] == wehrmann.table("table3")["LSTM"]["AU(PRC) micro"]


def test_maps_before_and_after(fish: Report) -> None:
    table = fish.table("figure1")
    tight = {name: float(row["silhouette"]) for name, row in table.items()}
    assert tight["coarse"] > tight["fine-tuned"] and abs(tight["random"]) < 0.1
    assert (
        float(table["coarse"]["silhouette low"]) < tight["coarse"] < float(table["coarse"]["silhouette high"])
    )
    picture = fish.picture("figure1")
    assert ">coarse<" in picture and ">fine-tuned<" in picture and "action (" in picture
    assert "The map is of seed 0." in fish.text


def test_silhouette_over_the_epochs(fish: Report) -> None:
    rows = fish.rows("figure6")
    assert [row["epoch"] for row in rows] == ["0", "1", "2", ""]
    assert float(rows[0]["silhouette"]) == pytest.approx(0.305)
    assert float(rows[2]["silhouette"]) == pytest.approx(0.105)
    reach = 12.706 * 0.01 / 2  # Student's t of one degree of freedom; half the distance of two seeds
    assert float(rows[0]["silhouette high"]) == pytest.approx(0.305 + reach, rel=1e-3)
    assert rows[3]["experts"] == "random" and abs(float(rows[3]["silhouette"])) < 0.1


def test_neighbours_before_and_after(fish: Report) -> None:
    table = fish.table("figure9")
    assert float(table["coarse"]["precision at 5"]) > float(table["fine-tuned"]["precision at 5"])
    ids, vectors = embed(Path("coarse"), "test")
    order = np.argsort(ids)
    units = vectors[order] / np.linalg.norm(vectors[order], axis=1, keepdims=True)
    target = targets()[:VIDEOS]
    shares, common = [], []
    for video in range(VIDEOS):
        ranked = [other for other in np.argsort(-(units @ units[video])) if other != video]
        both = [bool((target[video] & target[other]).any()) for other in ranked]
        shares.append(np.mean(both[:5]))
        common.append(np.mean(both))
    assert float(table["coarse"]["precision at 5"]) == pytest.approx(np.mean(shares))
    assert float(table["random"]["precision at 5"]) == pytest.approx(np.mean(common))
    listed = fish.table("figure9-videos")
    assert len(listed) == 8 and all(name in row["coarse"] for name in ("v0", "(") for row in listed.values())
    assert "precision" in fish.picture("figure9")


@pytest.mark.slow
def test_the_networks_of_an_ensemble(tmp_path: Path) -> None:
    report = Report.of(config(tmp_path, "lebaron2021", ("poster", "words"), missing=("vgg16", "metadata")))
    (genre, *_) = report.rows("figure5")
    assert [name for name in genre if " " not in name] == [
        "genre",
        "videos",
        "poster",
        "words",
        "ensemble",
        "random",
    ]
    assert float(genre["ensemble"]) > float(genre["poster"]) > float(genre["random"])


@pytest.mark.slow
def test_what_cannot_be_shown_costs_its_figure_only(tmp_path: Path) -> None:
    def broken(cell: Cell, run: Path) -> None:
        if cell.fine:
            raise ValueError("no sequences")
        train(cell, run)

    asked = config(tmp_path, "fish2021", ("senet",), tables=("map", "silhouette", "retrieval"), seeds=(0,))
    report = Report.of(asked, broken)
    assert report.text.count("ValueError: no sequences") == 1
    table = report.table("figure1")
    assert table["fine-tuned"]["silhouette"] == "" and float(table["coarse"]["silhouette"]) > 0
    assert not (tmp_path / "figure1.svg").exists() and (tmp_path / "figure9.svg").exists()
    few = Report.of(replace(asked, out=tmp_path / "few", tables=("map", "genres")), _few)
    assert "It could not be made: a map needs 5 videos or more" in few.text and "## Table 5" in few.text


def _few(cell: Cell, run: Path) -> None:
    train(cell, run)
    folder, ids = RunFolder(run), ["v000", "v001", "v002"]
    scores = np.full((3, 3), 0.5, np.float32)
    write_predictions(
        folder.predictions_path,
        GENRES,
        ids=ids,
        splits=["test"] * 3,
        targets=np.eye(3, dtype=bool),
        scores=scores,
    )


@pytest.mark.parametrize(
    ("paper", "options", "message"),
    [
        ("fish", {}, "no paper 'fish'; there are fish2021, lebaron2021, sulun2024, wehrmann2017"),
        ("fish2021", {"tables": ("models",)}, "no table 'models'; there are map, experts, sequences"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path: Path, paper: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(tmp_path, paper, ("clip",), **options)
