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
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, precision_score

from extract.errors import UsageError
from extract.presets import merged
from train.comparison.compare import compare
from train.comparison.config import CompareConfig
from train.comparison.paper import Cell, load_paper, paper_names
from train.comparison.source import Dataset
from train.comparison.stated import stated_table
from train.errors import DataError
from train.evaluation.evaluate import read_predictions
from train.evaluation.figures import Scoring
from train.labels.splits import Part
from train.registry import make_model, model_options
from train.runs.run_folder import RunFolder, write_predictions
from train.runs.training_data import make_steps, options_of
from train.settings import choose
from train.views.scenes import SceneScores

pytestmark = pytest.mark.usefixtures("no_curves")

PAPERS = paper_names()
DIMS = {"spectrogram": 130 * 513}  # of an expert that a model knows the shape of
GENRES = ("Action", "Comedy", "Drama")
VIDEOS = 60
QUALITY = {"senet": 2.0, "places": 0.5, "vggish": 1.0, "resnet152": 1.5, "lowlevel_video": 0.3}
FISH = ("senet", "places", "i3d_flow", "r2plus1d", "vggish")


def splits() -> list[str]:
    return ["test"] * VIDEOS + ["validation"] * VIDEOS


def targets() -> NDArray[np.bool_]:
    return np.random.default_rng(0).random((2 * VIDEOS, 3)) < (0.5, 0.3, 0.2)


def train(cell: Cell, folder: Path) -> None:
    """What a training would write: the more of ``QUALITY`` the experts have, the better the scores."""
    target = targets()
    quality = sum(QUALITY.get(name, 1.0) for name in cell.experts) * (0.2 if cell.fine else 1)
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
    else:
        names = ("training/loss", "validation/micro", "validation/loss")
        run.write_history([{"epoch": n, **dict.fromkeys(names, n / 8)} for n in range(1, 4 + cell.seed)])
    record = {"seconds": 10.0, "parameters": 1000 + len(cell.experts)}
    run.write_json(run.training_path, record | {"prediction": {"videos": 100, "seconds": 5.0}})


class Known:
    """What a store would say of the videos."""

    def embed(self, run: Path, part: Part) -> tuple[list[str], NDArray[np.float32]]:
        """The genres can be seen in the space, in the fine-tuned one less so. Ids are in another order."""
        noise = 3.0 if (run / "fine").exists() else 0.5
        vectors = targets() + noise * np.random.default_rng(0).normal(size=(2 * VIDEOS, 3))
        mine = [n for n, split in enumerate(splits()) if split == part][::-1]
        return [f"v{n:03d}" for n in mine], vectors[mine].astype(np.float32)

    def shots(self, run: Path, video_id: str) -> SceneScores:
        if video_id == "v006":
            raise DataError("the store has no shots of 'v006'")
        starts = np.arange(4.0)
        scores = np.tile(np.array([0.9, 0.4, 0.1], np.float32), (4, 1))
        return SceneScores(video_id, GENRES, starts, starts + 1, scores, scores[0])

    def dataset(self) -> Dataset:
        return Dataset(GENRES, targets(), tuple(splits()), frames=12_000, years={1999: 100, 2001: 20})

    def extraction_seconds(self, tables: Any) -> float:
        return float("nan") if "vit" in tables else 2.0 * len(tables)


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

        return cls(made, cells, compare(made, fitted, source=Known(), **more).read_text("utf-8"))

    def table(self, name: str) -> dict[str, dict[str, str]]:
        with (self.config.out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.config.out / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def predicted(
        self, table: str, row: str, part: str = "test"
    ) -> list[tuple[NDArray[np.bool_], NDArray[np.float64]]]:
        """Target and score of a part, of each seed."""
        (paper_table,) = self.config.shown.chosen((table,))
        cell = next(each.cell for each in self.config.rows(paper_table) if each.name == row)
        runs = [self.config.folder(replace(cell, seed=seed)) for seed in self.config.seeds]
        found = [read_predictions(run / "predictions.parquet", split=part) for run in runs]
        return [(np.asarray(each.target, bool), np.asarray(each.score)) for each in found]

    def picture(self, name: str) -> str:
        return (self.config.out / f"{name}.svg").read_text("utf-8")


@pytest.fixture(scope="module")
def fish(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return Report.of(config(tmp_path_factory.mktemp("fish"), "fish2021", FISH, baselines=("lowlevel_video",)))


@pytest.fixture(scope="module")
def wehrmann(tmp_path_factory: pytest.TempPathFactory) -> Report:
    experts = ("resnet152", "spectrogram", "lowlevel_video")
    return Report.of(config(tmp_path_factory.mktemp("wehrmann"), "wehrmann2017", experts, seeds=(0,)))


@pytest.fixture(scope="module")
def sulun(tmp_path_factory: pytest.TempPathFactory) -> Report:
    paper = load_paper("sulun2024")
    asked = config(tmp_path_factory.mktemp("sulun"), "sulun2024", paper.experts, baselines=("vit", "ast"))
    return Report.of(replace(asked, seeds=(0,)))


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
        ("lebaron2021", "figure5", "Combined", "AP macro", "0.564063"),
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


def test_a_row_is_what_its_name_says(tmp_path: Path) -> None:
    asked = config(tmp_path, "fish2021", ("senet",))
    (sequences,) = asked.shown.chosen(("table5",))
    assert [row.name for row in asked.rows(sequences)] == ["1", "5", "9", "20"]
    for row in asked.rows(sequences):
        assert row.cell.preset is not None
        choices = choose(preset=row.cell.preset, options=merged([row.cell.options]))
        assert model_options(row.cell.model, choices.model_options).clips == int(row.name)


def test_frames_are_drawn_in_inference_too(tmp_path: Path) -> None:
    asked = config(tmp_path, "sulun2024", ("clip",))
    (figure,) = asked.shown.chosen(("frames",))
    rows = asked.rows(figure)
    assert [(row.name, row.cell.steps) for row in rows[5:7]] == [("MLP", 256), ("transformer", 8)]
    for row in rows:
        choices = choose(preset=row.cell.preset, experts=("clip",), options=row.cell.options)
        steps = make_steps(choices.steps, ("clip",), optional=choices.optional)["clip"]
        assert steps.at_test == steps and (steps.cap, steps.how) == (row.cell.steps, "random")


@pytest.mark.slow
def test_tables_share_their_trainings(fish: Report) -> None:
    assert len(fish.cells) == len(set(fish.cells))
    assert len(fish.cells) == 2 * (4 + 3 + 2 + 2 + 3 + 1), "singles, pairs, all, SVMs, lengths, fine"
    coarse = [cell for cell in fish.cells if not cell.fine]
    fine = [cell for cell in fish.cells if cell.fine]
    assert {cell.coarse for cell in fine} <= set(coarse)
    assert all(fish.cells.index(cell.coarse) < fish.cells.index(cell) for cell in fine)
    record = json.loads((fish.config.out / "cells.json").read_text("utf-8"))
    assert [entry["error"] for entry in record] == [None] * len(fish.cells)
    assert sum(entry.get("fine", False) for entry in record) == 2
    again = Report.of(replace(fish.config, tables=("experts",)))
    assert again.cells == [] and again.text in fish.text
    assert fish.config.folder(fine[0]).name.startswith(f"mmx-fine-{'+'.join(FISH)}-seed-0")
    other = replace(fish.config, finetune={"epochs": 3})
    assert other.folder(coarse[0]) == fish.config.folder(coarse[0])
    assert other.folder(fine[0]) != fish.config.folder(fine[0])


def test_fish_experts_by_genre(fish: Report) -> None:
    table = fish.table("table2")
    assert list(table)[:3] == ["support", "Support (paper)", "Scene"]
    assert list(table)[-2:] == ["random", "Random (paper)"]
    assert [name for name in table if not name.endswith("(paper)")][1:-1] == [
        "Scene", "Audio", "Motion", "Image", "Image + Audio", "Image + Motion", "Image + Scene",
        "Naive Concat", "MMX-Trailer-20",
    ]  # fmt: skip
    means = {name: float(row["F1w"]) for name, row in table.items() if row["F1w"]}
    assert means["MMX-Trailer-20"] > means["Image"] > means["Audio"] > means["random"]
    found = fish.predicted("table2", "Image")
    assert means["Image"] == pytest.approx(
        np.mean([f1_score(t, s >= 0.3, average="weighted") for t, s in found])
    )
    of_action = [f1_score(t[:, 0], s[:, 0] >= 0.3) for t, s in found]
    assert float(table["Image"]["Action"]) == pytest.approx(np.mean(of_action))
    assert table["Image (paper)"]["Action"] == "0.48" and table["Image (paper)"]["AU(PRC)w"] == "0.554"
    assert table["Image"]["Western"] == "" and table["Image (paper)"]["Western"] == "0.54"
    assert int(table["support"]["Action"]) == targets()[:VIDEOS, 0].sum()
    assert "decisions at a score of 0.3" in fish.text and "no target for other data" in fish.text


def test_random_gives_every_genre(fish: Report) -> None:
    row, target = fish.table("table2")["random"], targets()[:VIDEOS]
    n = int(target[:, 0].sum())
    assert float(row["Action"]) == pytest.approx(2 * n / (VIDEOS + n)) and float(row["Rw"]) == 1
    expected = precision_score(target, np.ones_like(target), average="weighted")
    assert float(row["Pw"]) == pytest.approx(expected)
    # The paper's: 754 test trailers, 130 of Action.
    assert fish.table("table2")["Random (paper)"]["Action"] == f"{2 * 130 / (754 + 130):.2f}"


def test_methods_of_other_papers(fish: Report) -> None:
    table = fish.table("table3")
    assert list(table) == [
        "Random 9 Class (paper)", "Random 20 Class (paper)", "VLLF", "VLLF (paper)", "AV", "AV (paper)",
        "LSTM (paper)", "CTT-MMC (paper)", "Moviescope (paper)", "MMX-Trailer-20", "MMX-Trailer-20 (paper)",
        "random", "genre frequencies",
    ]  # fmt: skip
    assert (
        table["VLLF"]["genres"] == "3" and int(table["VLLF"]["labels at most"]) == targets().sum(axis=1).max()
    )
    assert table["LSTM (paper)"]["AU(PRC) macro"] == "0.520" and "LSTM (no resnet152" in fish.text


def test_data_sets_and_statistics(fish: Report, wehrmann: Report) -> None:
    yours = fish.table("table1")["yours"]
    assert (yours["trailers"], yours["genres"], yours["frames"], yours["test"]) == (
        "120",
        "3",
        "12,000",
        "60",
    )
    assert fish.table("table1")["LMTD-9 (paper)"]["trailers"] == "4000"
    counted = {row["value"]: int(row["videos"]) for row in fish.rows("figure4") if row["of"] == "genre"}
    assert counted == {name: int(targets()[:, i].sum()) for i, name in enumerate(GENRES)}
    assert {row["value"] for row in fish.rows("figure4") if row["of"] == "year"} == {"1999", "2001"}
    table = wehrmann.table("table2")
    assert int(table["Comedy"]["test"]) == targets()[:VIDEOS, 1].sum()
    assert table["Comedy (paper)"]["training"] == "1109" and table["movies (paper)"]["test"] == "772"
    assert float(table["label cardinality"]["test"]) == pytest.approx(
        targets()[:VIDEOS].sum(axis=1).mean(), abs=0.005
    )
    assert table["1 genre"]["training"] == "0", "no training videos are pretended"


def test_labels_scenes_and_lengths(fish: Report) -> None:
    table = fish.table("table4")
    assert len([name for name in table if name.startswith("v")]) == 10
    assert any("(added)" in row["predicted"] for row in table.values())
    assert table["Laws of Attraction (paper)"]["predicted"] == "Comedy, Crime, Drama"
    scenes = fish.rows("figure8")
    assert {row["genres of the shot"] for row in scenes} == {"Action 0.90, Comedy 0.40"}
    assert len(scenes) == 4 * 3 and "1 videos are left out: the store has no shots of 'v006'" in fish.text
    lengths = fish.table("table5")
    assert list(lengths)[:4] == ["1", "1 (paper)", "5", "5 (paper)"]
    assert lengths["9 (paper)"]["F1w"] == "0.564" and lengths["9 (paper)"]["Rw"] == ""


def test_curves_of_each_expert_over_all_labels(fish: Report) -> None:
    rows = {(row["expert"], row["genre"]): row for row in fish.rows("figure9")}
    assert list(dict.fromkeys(expert for expert, _ in rows)) == ["Scene", "Audio", "Motion", "Image"]
    found = fish.predicted("figure9", "Image")
    area = np.mean([average_precision_score(t[:, 2], s[:, 2]) for t, s in found])
    assert float(rows["Image", "Drama"]["area"]) == pytest.approx(area)
    assert ">Image<" in fish.picture("figure9") and ">Drama<" in fish.picture("figure9")


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


def test_maps_before_and_after(fish: Report) -> None:
    table = fish.table("figure1")
    tight = {name: float(row["silhouette"]) for name, row in table.items()}
    assert tight["coarse"] > tight["fine-grained"] and abs(tight["random"]) < 0.1
    assert (
        float(table["coarse"]["silhouette low"]) < tight["coarse"] < float(table["coarse"]["silhouette high"])
    )
    picture = fish.picture("figure1")
    assert ">coarse<" in picture and ">fine-grained<" in picture and "Action (" in picture
    assert "The map is of seed 0." in fish.text


def test_silhouette_over_the_epochs(fish: Report) -> None:
    rows = fish.rows("figure6")
    assert [row["epoch"] for row in rows] == ["0", "1", "2", ""]
    assert float(rows[0]["silhouette"]) == pytest.approx(0.305)
    assert float(rows[2]["silhouette"]) == pytest.approx(0.105)
    reach = 12.706 * 0.01 / 2  # Student's t of one degree of freedom; half the distance of two seeds
    assert float(rows[0]["silhouette high"]) == pytest.approx(0.305 + reach, rel=1e-3)
    assert rows[3]["space"] == "random" and abs(float(rows[3]["silhouette"])) < 0.1


def test_neighbours_before_and_after(fish: Report) -> None:
    table = fish.table("figure10")
    assert float(table["coarse"]["precision at 5"]) > float(table["fine-grained"]["precision at 5"])
    ids, vectors = Known().embed(Path("coarse"), "test")
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
    listed = fish.table("figure10-videos")
    assert len(listed) == 8 and all(name in row["coarse"] for name in ("v0", "(") for row in listed.values())
    assert "precision" in fish.picture("figure10")


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
    lines = {(row["model"], row["steps"]) for row in sulun.rows("figure6")}
    assert {("MLP", "8"), ("transformer", "256")} <= lines


@pytest.mark.slow
def test_the_networks_of_an_ensemble(tmp_path: Path) -> None:
    asked = config(tmp_path, "lebaron2021", ("poster", "words"), missing=("vgg16", "metadata"), seeds=(0,))
    report = Report.of(asked)
    table = report.table("figure5")
    assert list(table)[:4] == ["Poster", "Poster (paper)", "Metadata (paper)", "Video (paper)"]
    assert float(table["Combined"]["AP macro"]) > float(table["Poster"]["AP macro"])
    assert table["Text (paper)"]["AP samples"] == "0.749681"
    (film,) = report.rows("figure6")
    assert set(film) == {"video", "genres", "Poster", "Combined"}
    assert [row["epoch"] for row in report.rows("figure4")] == ["1", "2", "3"]
    assert {row["of"] for row in report.rows("figure1")} == {"genre"}


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
    assert table["fine-grained"]["silhouette"] == "" and float(table["coarse"]["silhouette"]) > 0
    assert not (tmp_path / "figure1.svg").exists() and (tmp_path / "figure10.svg").exists()
    few = Report.of(replace(asked, out=tmp_path / "few", tables=("map", "sequences")), _few)
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
        ("fish", {}, "no paper 'fish'; there are fish2021, lebaron2021, own, sulun2024, wehrmann2017"),
        ("fish2021", {"tables": ("models",)}, "no table 'models'; there are map, datasets, experts"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path: Path, paper: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        config(tmp_path, paper, ("clip",), **options)
