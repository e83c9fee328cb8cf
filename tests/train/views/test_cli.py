"""``map``, ``scenes`` and ``relabel`` as a user sees them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from train.cli import commands as cli
from train.labels.table import read_labels
from train.runs.run_folder import RunFolder


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """``python -m train`` in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return 0 if left.value.code is None else int(left.value.code)


@pytest.mark.slow
def test_a_map_is_a_page_and_a_picture(
    features: Path,
    run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    labels = features.parent / "labels.csv"
    outs = ("--out", tmp_path / "map.html", "--out", tmp_path / "places.csv")
    given = ("--run", run.root, "--features", features, "--labels", labels, "--methods", "tsne")
    assert call(monkeypatch, "map", *given, *outs, "--device", "cpu") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"map.html", "map.svg", "places.csv"}
    said = capsys.readouterr().out
    assert said.count("48 videos in") == 3 and said.endswith(
        f"next: open {(tmp_path / 'map.html').as_uri()}\n"
    )
    assert read_labels(tmp_path / "places.csv").matrix.sum() == read_labels(labels).matrix.sum()


def test_scenes_are_printed_and_written(
    features: Path,
    run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outs = [part for kind in ("html", "svg", "csv") for part in ("--out", tmp_path / f"scenes.{kind}")]
    given = ("films/011", "--run", run.root, "--features", features, "--threshold", 0)
    assert call(monkeypatch, "scenes", *given, *outs, "--device", "cpu") == 0
    said = capsys.readouterr().out
    assert said.count("nothing there") == 2 and "0:02.5" in said and said.count("5 scenes in") == 3
    assert said.count("action 0.") == 3
    assert said.endswith(f"next: open {(tmp_path / 'scenes.html').as_uri()}\n")
    assert (tmp_path / "scenes.html").read_bytes().startswith(b"<!doctype html>")
    assert call(monkeypatch, "scenes", *given, "--sequences") == 2
    assert "sequences are of mmx" in capsys.readouterr().err


def test_labels_are_added_and_counted(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "relabelled.csv"
    asked = ("--threshold", "0", "--parts", "train,validation")
    assert call(monkeypatch, "relabel", "--run", run.root, "--out", out, *asked) == 0
    said = capsys.readouterr().out
    assert "before" in said and "more genres" in said and "comedy" in said
    assert f"next: python -m train --features STORE --labels {out} --run {run.root}-relabelled\n" in said
    assert 2 * 48 < read_labels(out).matrix.sum() < 3 * 48


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["map", "--methods", "pca", "--out", "a.html"], "--methods names 'pca'; there are tsne, umap"),
        (["map", "--out", "a.png"], "give a name that ends in .html, .svg or .csv"),
        (["map", "--methods", "tsne", "--out", "a.html", "--split", "dev"], "no video of the split 'dev'"),
        (["scenes", "films/999"], "the store has nothing of video 'films/999'"),
        (["scenes", "films/011", "--out", "a.txt"], "give a name that ends in .html, .svg or .csv"),
        (["scenes", "films/011", "--precision", "float8"], "'float8' is not one of"),
        (["relabel", "--out", "a.csv", "--threshold", "2"], "--threshold is 2.0"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    words: str,
    features: Path,
    run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    store = [] if arguments[0] == "relabel" else ["--features", features, "--device", "cpu"]
    assert call(monkeypatch, *arguments, "--run", run.root, *store) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and words in error
    assert not list(tmp_path.iterdir())
