"""Nearest videos in the space of a run: against the model's own vectors, kept or not, by index or not."""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extract.errors import MissingDependency, UsageError
from pipeline.vectors.vector_file import unit
from train.errors import DataError
from train.registry import make_model
from train.retrieval.retrieve import open_space, retrieve
from train.runs.config import FitConfig
from train.runs.embeddings import embed_store
from train.runs.fit import fit
from train.runs.run_folder import RunFolder
from train.settings import Hardware, choose

CPU = Hardware(device="cpu")
HALF = 2e-3  # cosines of vectors that are kept as float16


@pytest.fixture(scope="module")
def runs(folder: Path) -> tuple[RunFolder, RunFolder]:
    choices = choose(model="mlp", options={"model": {"width": 8}, "training": {"epochs": 1}})
    config = FitConfig(folder / "features", folder / "labels.csv", folder / "before", choices, CPU)
    before, after = fit(config), RunFolder(folder / "after")
    shutil.copytree(before.root, after.root)
    torch.manual_seed(1)
    after.save_model(make_model("mlp", before.config()["inputs"], 3, {"width": 8}))
    return before, after


def expected(run: RunFolder, folder: Path, query: str, most: int) -> list[tuple[str, float]]:
    ids, vectors = embed_store(run, folder / "features", hardware=CPU)
    cosines = unit(vectors) @ unit(vectors)[ids.index(query)]
    order = [i for i in np.argsort(-cosines) if ids[i] != query][:most]
    return [(ids[i], float(cosines[i])) for i in order]


@pytest.mark.slow
def test_the_nearest_of_two_runs_side_by_side(
    runs: tuple[RunFolder, RunFolder], folder: Path, tmp_path: Path
) -> None:
    queries = ["films/004", "011", "films/004"]
    found = retrieve(runs, folder / "features", queries, neighbours=6, hardware=CPU)
    assert found.queries == ("films/004", "films/011"), "by the file's name too, and each once"
    assert list(found.neighbours) == [str(run.root) for run in runs]
    for run in runs:
        for query in found.queries:
            nearest = found.neighbours[str(run.root)][query]
            wanted = expected(run, folder, query, 6)
            assert [one.cosine for one in nearest] == pytest.approx([c for _, c in wanted], abs=HALF)
            assert len({one.video_id for one in nearest} & {name for name, _ in wanted}) >= 5
    found.write(tmp_path / "found.csv")
    with (tmp_path / "found.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 6 and rows[0]["rank"] == "1" and rows[0]["query"] == "films/004"
    first = found.neighbours[str(runs[0].root)]["films/004"][0]
    assert (rows[0]["video_id"], rows[0]["cosine"]) == (first.video_id, f"{first.cosine:.6f}")
    with pytest.raises(UsageError, match=r"ends in \.csv"):
        found.write(tmp_path / "found.txt")


def test_vectors_and_index_are_kept_in_a_folder_and_used_again(
    runs: tuple[RunFolder, RunFolder], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faiss", reason="marquee-video[index] is not installed")
    asked: dict[str, Any] = {"neighbours": 4, "index": tmp_path / "index", "hardware": CPU}
    said: list[str] = []
    by_index = retrieve(runs, folder / "features", ["films/004"], log=said.append, **asked)
    assert {path.name for path in (tmp_path / "index").iterdir()} == {"before", "after"}
    assert {path.name for path in (tmp_path / "index" / "after").iterdir()} == {
        "space.json", "vectors.f16", "index",
    }  # fmt: skip
    assert any("recall@10 1.0000" in line for line in said)
    assert by_index == retrieve(runs, folder / "features", ["films/004"], neighbours=4, hardware=CPU)
    monkeypatch.setattr("train.retrieval.retrieve.each_output", None)  # nothing is computed again
    assert retrieve(runs, folder / "features", ["films/004"], **asked) == by_index
    assert retrieve(runs, folder / "features", ["films/004"], exact=True, **asked) == by_index
    with pytest.raises(DataError, match="holds the vectors of another run or of other videos"):
        open_space(tmp_path / "index" / "after", runs[0], folder / "features", hardware=CPU)
    (tmp_path / "index" / "after" / "space.json").unlink()
    with pytest.raises(TypeError):  # would be computed
        open_space(tmp_path / "index" / "after", runs[1], folder / "features", hardware=CPU)


def test_an_index_that_is_refused_leaves_nothing(
    runs: tuple[RunFolder, RunFolder], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"index": tmp_path / "index", "hardware": CPU}
    with pytest.raises(UsageError, match="has no video 'films/999'"):
        retrieve(runs, folder / "features", ["films/999"], exact=True, **asked)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingDependency, match=r"pip install 'marquee-video\[index\]'"):
        retrieve(runs, folder / "features", ["films/004"], **asked)
    assert not (tmp_path / "index").exists()


def test_runs_of_one_name_are_kept_apart(
    runs: tuple[RunFolder, RunFolder], folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("faiss", reason="marquee-video[index] is not installed")
    other = RunFolder(tmp_path / "elsewhere" / "before")
    other.root.parent.mkdir()
    other.root.symlink_to(runs[1].root)  # the folder's own name is another
    retrieve([runs[0], other], folder / "features", ["films/004"], index=tmp_path / "a", hardware=CPU)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"before", "after"}
    twin = RunFolder(tmp_path / "twin" / "before")
    shutil.copytree(runs[1].root, twin.root)
    retrieve([runs[0], twin], folder / "features", ["films/004"], index=tmp_path / "b", hardware=CPU)
    names = [path.name for path in (tmp_path / "b").iterdir()]
    assert len(names) == 2 and all(name.startswith("before-") for name in names)


@pytest.mark.parametrize(
    ("queries", "options", "words"),
    [
        (["films/4"], {}, r"has no video 'films/4' with features; did you mean 'films/0"),
        (["films/004"], {"neighbours": 0}, "--neighbours is 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    runs: tuple[RunFolder, RunFolder], folder: Path, queries: list[str], options: Any, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        retrieve(runs, folder / "features", queries, hardware=CPU, **options)


def test_the_command(
    runs: tuple[RunFolder, RunFolder], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from train.cli.commands import app

    names = [part for run in runs for part in ("--run", str(run.root))]
    rest = ["--features", str(folder / "features"), "--out", str(tmp_path / "x.csv"), "--device", "cpu"]
    app(["retrieve", "films/004", *names, "--neighbours", "2", *rest], standalone_mode=False)
    shown = capsys.readouterr().out
    for run in runs:
        assert str(run.root) in shown
        for name, _ in expected(run, folder, "films/004", 1):
            assert name in shown
    assert len((tmp_path / "x.csv").read_text("utf-8").splitlines()) == 5
