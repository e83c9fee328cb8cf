"""Tables and figures of Fish et al. 2021, by a stand-in for the training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_score

from extract.presets import merged
from tests.train.comparison.reports import FISH, GENRES, VIDEOS, Known, Report, config, targets, train
from train.comparison.paper import Cell
from train.registry import model_options
from train.runs.run_folder import RunFolder, write_predictions
from train.settings import choose

pytestmark = pytest.mark.usefixtures("no_curves")


@pytest.fixture(scope="module")
def fish(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return Report.of(config(tmp_path_factory.mktemp("fish"), "fish2021", FISH, baselines=("lowlevel_video",)))


def test_data_sets_and_statistics(fish: Report) -> None:
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


def test_a_row_is_what_its_name_says(tmp_path: Path) -> None:
    asked = config(tmp_path, "fish2021", ("senet",))
    (sequences,) = asked.shown.chosen(("table5",))
    assert [row.name for row in asked.rows(sequences)] == ["1", "5", "9", "20"]
    for row in asked.rows(sequences):
        assert row.cell.preset is not None
        choices = choose(preset=row.cell.preset, options=merged([row.cell.options]))
        assert model_options(row.cell.model, choices.model_options).clips == int(row.name)


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


def test_labels_scenes_and_lengths(fish: Report) -> None:
    table = fish.table("table4")
    assert len([name for name in table if name.startswith("v")]) == 10
    assert any("(added)" in row["predicted"] for row in table.values())
    assert table["Laws of Attraction (paper)"]["predicted"] == "Comedy, Crime (added), Drama (added)"
    scenes = fish.rows("figure8")
    assert {row["genres of the shot"] for row in scenes} == {"Action 0.90, Comedy 0.40"}
    assert len(scenes) == 4 * 3 and "1 video is left out: the store has no shots of 'v006'" in fish.text
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
