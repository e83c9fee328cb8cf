"""A paper's tables on a small store, with real trainings."""

from __future__ import annotations

import csv
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from extract.errors import UsageError
from tests.fixtures.genre_store import GENRES, genre_store, genres_of
from tests.fixtures.killed import run_killed
from train.api import planned
from train.cli.commands import app, main
from train.comparison.grid import GridConfig, compare_fits
from train.comparison.papers.fish2021 import PAPER
from train.errors import DataError
from train.importers.writing import Source, write_store
from train.runs.run_folder import RunFolder
from train.settings import Hardware

FLAGS = ("--out", "--features", "--labels")
SMALL = {
    "width": 8, "clip_width": 6, "clips": 3, "sequences": 4, "sequence_width": 8, "bottleneck_width": 12,
    "hidden": 8,
}  # fmt: skip


def write_long(folder: Path) -> None:
    """Films of 20 steps, so that they have three sequences of 9 clips, and their genres."""

    def steps(video_id: str) -> NDArray[np.float32]:
        number = int(video_id)
        shown = np.array([genre in genres_of(number) for genre in GENRES])
        return (shown + np.random.default_rng(number).normal(size=(20, 3))).astype(np.float32)

    ids = [f"{number:03d}" for number in range(30)]
    write_store(folder / "features", ids, [Source("clip", 3, steps, {"version": 1})], options={})
    lines = [f"{name},{'|'.join(genres_of(int(name)))}" for name in ids]
    (folder / "labels.csv").write_text("\n".join(["video_id,genres", *lines]) + "\n", "utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("grid")
    genre_store(made, videos=40)
    return made


def compared(folder: Path, out: Path, **chosen: Any) -> Path:
    known: dict[str, Any] = {"hardware": Hardware(device="cpu"), "seeds": (0,)}
    features: Any = folder / "features"
    return compare_fits(GridConfig(out, features, folder / "labels.csv", **(known | chosen)))


@pytest.mark.slow
def test_a_paper_is_trained_and_fine_tuned(tmp_path: Path) -> None:
    write_long(tmp_path)
    report = compared(
        tmp_path,
        tmp_path / "fish",
        paper="fish2021",
        experts=("clip",),
        tables=("map", "silhouette", "retrieval"),
        options={
            "model": SMALL,
            "training": {"epochs": 1, "batch_size": 16},
            "finetune": {"epochs": 2, "batch_size": 8},
            "clip": {"cap": 19},
            "split": {"fractions": [0.6, 0.2, 0.2]},
        },
    )
    text = report.read_text("utf-8")
    assert "failed" not in text and "could not" not in text
    runs = {run.name.partition("-clip-")[0]: RunFolder(run) for run in (tmp_path / "fish/runs").iterdir()}
    coarse, fine = runs["mmx"], runs["mmx-fine"].config()
    options = coarse.config()["options"]
    assert options["model"]["clips"] == 3 and options["model"]["width"] == 8
    assert options["labels"]["least_shots"] == 10 and options["split"]["fractions"] == [0.6, 0.2, 0.2]
    assert options["steps"]["clip"]["cap"] == 19
    assert options["training"]["learning_rate"] == 3e-5, "of the paper's preset"
    assert fine["finetune"]["epochs"] == 2 and fine["finetuned_from"] == str(coarse.root)
    with (tmp_path / "fish/figure6.csv").open(encoding="utf-8", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2", ""]
    for name in ("figure1", "figure6", "figure10"):
        assert (tmp_path / f"fish/{name}.svg").stat().st_size > 1000


@pytest.mark.slow
def test_an_option_goes_to_the_models_that_have_it(folder: Path, tmp_path: Path) -> None:
    report = compared(
        folder,
        tmp_path / "sulun",
        experts=("clip",),
        models=("mlp", "single-transformer"),
        tables=("models",),
        options={"model": {"layers": 1, "width": 8, "feedforward": 8}, "training": {"epochs": 1}},
    )
    assert "failed" not in report.read_text("utf-8"), "mlp has no feedforward"
    runs = [RunFolder(run).config() for run in (tmp_path / "sulun/runs").iterdir()]
    assert {run["model"]: run["options"]["model"].get("feedforward") for run in runs} == {
        "mlp": None, "single-transformer": 8,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"paper": "fish2021"},
            DataError,
            "has none of senet, places, i3d_flow, r2plus1d, vggish, which fish2021",
        ),
        ({"paper": "fish2021", "models": ("mlp",)}, UsageError, "--models is not an option for fish2021"),
        (
            {"paper": "fish2021", "preset": "fish2021/mmx"},
            UsageError,
            "--preset is not an option for fish2021",
        ),
        ({"options": {"model": {"depth": 2}}}, UsageError, "none of .* has such an option"),
        ({"options": {"finetune": {"epochs": 2}}}, UsageError, "none of the tables fine-tunes"),
        ({"options": {"finetune": {"rate": 2}}}, UsageError, "finetune has no option 'rate'"),
    ],
)
def test_what_cannot_be_is_said_at_once(
    folder: Path, tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        compared(folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_what_the_store_lacks_of_a_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genre_store(tmp_path, videos=30, experts=("clip",))
    monkeypatch.setattr("train.comparison.papers.fish2021.PAPER", replace(PAPER, experts=("panns", "clip")))
    monkeypatch.setattr("train.comparison.grid.compare", lambda grid, fit, **others: grid)
    found: Any = compared(tmp_path, tmp_path / "fish", paper="fish2021")
    assert (found.experts, found.missing, found.baselines) == (("clip",), ("panns",), ())
    assert "no senet among the experts: without Image" in found.left_out()


def test_python_and_the_command_line_name_the_same_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers, texts that say them in another way, and flags beside ``--set``."""
    seen: list[list[str]] = []

    def named(grid: Any) -> list[Any]:
        seen.append([grid.folder(cell).name for cell in grid.cells()])
        return []

    monkeypatch.setattr("train.comparison.grid.planned", named)
    paths = [str(tmp_path / "out"), str(folder / "features"), str(folder / "labels.csv")]
    options = {
        "training": {"epochs": 2, "learning_rate": 0.001, "patience": None},
        "model": {"layers": 1, "averaged": ["panns"]},
        "clip": {"cap": 5},
        "split": {"by": "random", "fractions": [0.6, 0.2, 0.2]},
    }
    planned(*paths, models=["mlp", "multi-transformer"], tables=["models"], seeds=[0], options=options)
    command = ["compare", "--dry-run", *(part for pair in zip(FLAGS, paths, strict=True) for part in pair)]
    command += ["--models=mlp,multi-transformer", "--tables=models", "--seeds=0", "--split=random"]
    sets = ["training.epochs=2", "training.learning_rate=1e-3", "training.patience=none", "model.layers=1"]
    sets += ["model.averaged=panns", "clip.cap=5", "split.fractions=0.6,0.2,0.2"]
    for text in (sets, [*sets, "training.epochs=3"]):
        done = CliRunner().invoke(app, command + [f"--set={each}" for each in text])
        assert done.exit_code == 0, (done.output, done.exception)
    assert seen[0] == seen[1] and len(set(seen[0])) == 2
    assert not set(seen[1]) & set(seen[2])


@pytest.mark.slow
def test_a_grid_that_was_killed_in_mid_training_ends_with_the_same_tables(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the folder was started with other options in between."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"

    def command(out: Path, epochs: int = 2) -> list[str]:
        options = (
            f"training.epochs={epochs}",
            "training.batch_size=16",
            "model.width=8",
            "model.feedforward=8",
        )
        return [
            "compare", "--paper", "sulun2024", "--experts", "clip", "--tables", "models", "--seeds", "0",
            "--features", str(folder / "features"), "--labels", str(folder / "labels.csv"),
            "--out", str(out), "--device", "cpu", *(f"--set={text}" for text in options),
        ]  # fmt: skip

    def run(arguments: list[str]) -> None:
        monkeypatch.setattr(sys, "argv", ["train", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code

    done = run_killed(command(killed), epochs=3)
    assert done.returncode == -signal.SIGKILL, done.stderr
    first, second = sorted((killed / "runs").iterdir(), key=lambda run: not RunFolder(run).finished)
    assert RunFolder(first).finished and not RunFolder(second).finished
    assert RunFolder(second).last_checkpoint.exists(), "killed after its first epoch"
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}

    run(command(killed, epochs=1))
    run(command(killed))
    run(command(whole))
    after = {path: path.stat().st_mtime_ns for path in first.rglob("*") if path.is_file()}
    assert before.items() <= after.items(), "a finished training is left as it is"
    assert RunFolder(second).finished
    assert RunFolder(second).history_path.read_bytes() == (
        RunFolder(whole / "runs" / second.name).history_path.read_bytes()
    )
    tables = {path.name: path.read_bytes() for path in whole.glob("*.csv")}
    assert tables and {path.name: path.read_bytes() for path in killed.glob("*.csv")} == tables
    assert (killed / "report.md").read_bytes() == (whole / "report.md").read_bytes()
