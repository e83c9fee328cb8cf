"""The command line as a user sees it: one line for every mistake, tables for what was asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from train.cli import commands as cli
from train.runs.run_folder import RunFolder


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """``python -m train`` in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    code = left.value.code
    return 0 if code is None else int(code)


def options(folder: Path, run: Path) -> list[object]:
    return [
        "--features",
        folder / "features",
        "--labels",
        folder / "labels.csv",
        "--run",
        run,
        "--device",
        "cpu",
    ]


@pytest.mark.slow
def test_train_predict_and_evaluate(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, scores = tmp_path / "run", tmp_path / "scores.csv"
    flags: list[object] = [
        "--model",
        "mlp",
        "--epochs",
        2,
        "--batch-size",
        8,
        "--seed",
        3,
        "--split",
        "random",
    ]
    assert call(monkeypatch, *options(folder, run), *flags, "--split", "random", "--experts", "clip") == 0
    said = capsys.readouterr().out
    assert "epoch 2: training loss" in said and "test mAP" in said
    record = json.loads((run / "config.json").read_text("utf-8"))
    assert record["options"]["split"]["by"] == "random" and list(record["inputs"]) == ["clip"]
    assert {k: record["options"]["training"][k] for k in ("epochs", "batch_size", "seed")} == {
        "epochs": 2,
        "batch_size": 8,
        "seed": 3,
    }

    predicted = ["predict", "--run", run, folder / "features", "--threshold", 0.999, "--out"]
    assert call(monkeypatch, *predicted, scores.with_suffix(".xlsx")) == 2
    refused = capsys.readouterr()
    assert not refused.out and "give a name that ends in .csv or .parquet" in refused.err
    assert call(monkeypatch, *predicted, scores) == 0
    said = capsys.readouterr().out
    assert (
        "films/000" in said and "(below 0.999)" in said and len(scores.read_text("utf-8").splitlines()) == 49
    )

    assert call(monkeypatch, "evaluate", "--run", run, "--split", "validation", "--resamples", 20) == 0
    said = capsys.readouterr().out
    assert "ap_macro" in said and (run / "metrics-validation.json").exists()


@pytest.mark.slow
def test_compare_makes_a_report(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = options(folder, tmp_path)[:4]
    small = ["--set=training.epochs=1", "--set=model.width=4", "--set=training.batch_size=16"]
    asked = ["--models", "mlp", "--seeds", "0", "--tables", "models,ablation", "--device", "cpu"]
    command = ("compare", *given, "--out", tmp_path / "report", *small, *asked)
    assert call(monkeypatch, *command, "--dry-run") == 0
    assert capsys.readouterr().out.splitlines()[1:-1] == [
        "mlp-panns-seed-0", "mlp-clip-seed-0", "3 trainings, 0 of them done",
    ]  # fmt: skip
    assert not (tmp_path / "report").exists()
    assert call(monkeypatch, *command) == 0
    said = capsys.readouterr().out
    assert "3 of 3: mlp-" in said and "failed" not in said
    report = Path(said.splitlines()[-1].removeprefix("next: open file://"))
    assert report.is_file() and "mlp" in report.read_text("utf-8")
    runs = [RunFolder(run) for run in (tmp_path / "report" / "runs").iterdir()]
    assert len({tuple(pq.read_table(run.predictions_path)["video_id"].to_pylist()) for run in runs}) == 1
    assert {len(run.config()["inputs"]) for run in runs} == {
        1,
        2,
    }  # panns has nothing of some
    assert call(monkeypatch, "compare", *given, "--out", tmp_path / "report", *small, *asked) == 0
    assert capsys.readouterr().out.count("trained before") == 3
    assert call(monkeypatch, *command, "--dry-run") == 0
    assert "3 trainings, 3 of them done" in capsys.readouterr().out
    rare = ["--least-videos", "1000"]
    assert call(monkeypatch, "compare", *given, "--out", tmp_path / "rare", *asked, *rare) == 2
    assert "no genre has 1000 videos or more" in capsys.readouterr().err


def test_models_lists_models_and_presets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "models") == 0
    said = capsys.readouterr().out
    assert "single-transformer" in said and "sulun2024/multi-transformer" in said


MISTAKES: list[tuple[list[Any], str]] = [
    (["--labels", "x.csv"], "--features is missing: give --features STORE"),
    (["--run", "RUN", "--features", "HERE", "--labels", "LABELS"], "is not a feature store"),
    (["--model", "resnet"], "no model 'resnet'; there are "),
    (["--preset", "sulun"], "no preset 'sulun'; there are "),
    (["--experts", "whisper"], "has no rows of expert 'whisper'"),
    (["--set", "model.depth=3"], "model 'multi-transformer' has no option 'depth'; it has: width"),
    (["--set", "vggish.cap=3"], "options were given for 'vggish'"),
    (["--split", "first"], "split.by is 'first'; allowed: sulun, random, stratified"),
    (["--split", "column:fold"], "the labels have no column 'fold'"),
    (["--id-column", "imdb"], "has no column 'imdb'"),
    (["--least-videos", "1000"], "no genre has 1000 videos or more"),
    (["--epochs", "0"], "epochs is 0; at least 1 is needed"),
    (["--epochs", "many"], "python -m train --help lists what there is"),
    (["--precision", "float8"], "'float8' is not one of 'float32', 'float16', 'bfloat16'"),
    (["--device", "cuda:99"], "GPU 99 was requested; this machine has"),
    (["--gpus", "all", "--device", "cpu"], "cannot be combined"),
    (["--nonsense"], "python -m train --help lists what there is"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
@pytest.mark.slow
def test_a_mistake_is_one_line(
    arguments: list[Any],
    words: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = {"RUN": tmp_path / "run", "HERE": tmp_path, "LABELS": folder / "labels.csv"}
    given = [paths.get(argument, argument) for argument in arguments]
    if arguments[0] not in ("--labels", "--run"):
        given = [*options(folder, tmp_path / "run"), *given]
    assert call(monkeypatch, *given) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and words in error
    assert not (tmp_path / "run").exists(), "nothing was begun"


def test_labels_of_other_videos_are_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "labels.csv"
    other.write_text("video_id,genres\ntt001,action\ntt002,comedy\n", "utf-8")
    given = ["--features", folder / "features", "--labels", other, "--run", tmp_path / "run"]
    assert call(monkeypatch, *given, "--device", "cpu") == 2
    assert "none of 2 labels (as 'tt001') is a video with features" in capsys.readouterr().err


@pytest.mark.slow
def test_a_genre_that_a_part_does_not_have_is_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (folder / "labels.csv").read_text("utf-8").splitlines()
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join([*lines[:-1], 'films/047,"opera"']) + "\n", "utf-8")
    given = [
        "--features",
        folder / "features",
        "--labels",
        labels,
        "--run",
        tmp_path / "run",
        "--device",
        "cpu",
    ]
    assert call(monkeypatch, *given) == 2
    assert "without a video of 'opera'" in capsys.readouterr().err
    small = ["--model", "mlp", "--epochs", "1", "--allow-empty-genres"]
    assert call(monkeypatch, *given, *small) == 0
