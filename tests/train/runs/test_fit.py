"""From a store and labels to a run folder, and on from a run that was killed."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file

from extract.errors import MissingDependency, UsageError
from tests.fixtures.genre_store import DIMS, GENRES, genre_store
from train.errors import DataError
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.runs.run_folder import RunFolder
from train.runs.training_data import load
from train.settings import Hardware, choose, parse_assignments

ROOT = Path(__file__).parents[3]
SMALL = ("model.width=16", "model.layers=1", "training.learning_rate=0.01", "training.batch_size=8")
TRANSFORMER = (*SMALL, "model.heads=2", "model.feedforward=16", "model.longest=16", "model.dropout=0.3")


def config(folder: Path, run: Path, *assignments: str, model: str = "mlp", **more: Any) -> FitConfig:
    given = [*(SMALL if model == "mlp" else TRANSFORMER), "training.epochs=8", *assignments]
    choices = choose(model=model, options=parse_assignments(given))
    return FitConfig(folder / "features", folder / "labels.csv", run, choices, Hardware(device="cpu"), **more)


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, list[str]]:
    said: list[str] = []
    return fit(config(folder, tmp_path_factory.mktemp("runs") / "mlp"), said.append), said


@pytest.mark.slow
def test_a_run_folder_has_all_that_it_says(trained: tuple[RunFolder, list[str]], folder: Path) -> None:
    run, _ = trained
    for name in ("model.safetensors", "normalisation.safetensors", "metrics.json", "per_genre.csv"):
        assert (run.root / name).stat().st_size
    assert list((run.root / "curves").glob("*.svg")) and list((run.root / "tensorboard").glob("events*"))
    record = run.config()
    assert record["inputs"] == DIMS and record["genres"] == list(GENRES) and record["model"] == "mlp"
    assert record["options"]["model"] == {"width": 16, "layers": 1, "dropout": 0.1}
    assert record["options"]["training"]["learning_rate"] == 0.01
    store = json.loads((folder / "features" / "run.json").read_text("utf-8"))
    assert {name: entry["fingerprint"] for name, entry in record["experts"].items()} == {
        name: entry["fingerprint"] for name, entry in store["experts"].items()
    }
    training = json.loads(run.training_path.read_text("utf-8"))
    assert training["epochs"] == 8 and training["seconds"] > 0
    assert training["prediction"]["videos"] == 48 and training["prediction"]["seconds"] > 0
    with run.history_path.open(encoding="utf-8", newline="") as file:
        epochs = list(csv.DictReader(file))
    assert [row["epoch"] for row in epochs] == [str(number) for number in range(1, 9)]
    assert max(float(row["validation/map"]) for row in epochs) == pytest.approx(training["best_map"])
    assert float(epochs[-1]["training/loss"]) < float(epochs[0]["training/loss"])
    weights = load_file(run.model_path)
    assert training["parameters"] == sum(value.size for value in weights.values())


def test_predictions_are_of_every_labelled_video_and_right(trained: tuple[RunFolder, list[str]]) -> None:
    run, said = trained
    table = pq.read_table(run.predictions_path)
    assert json.loads(table.schema.metadata[b"genres"]) == list(GENRES)
    rows = table.to_pylist()
    assert len({row["video_id"] for row in rows}) == len(rows) == 48
    sizes = {part: sum(row["split"] == part for row in rows) for part in ("train", "validation", "test")}
    assert run.config()["split_sizes"] == sizes and sizes["train"] > 28
    mean_precision = json.loads((run.root / "metrics.json").read_text("utf-8"))["figures"]["ap_macro"]
    assert mean_precision["value"] > 0.85 > 0.7 > mean_precision["random"], "the genres are in the vectors"
    assert said[-1].startswith(f"test mAP {mean_precision['value']:.4f}")


def test_a_finished_run_is_left_as_it_is(trained: tuple[RunFolder, list[str]], folder: Path) -> None:
    run, _ = trained
    before = {path: path.stat().st_mtime_ns for path in run.root.rglob("*") if path.is_file()}
    said: list[str] = []
    fit(config(folder, run.root), said.append)
    assert said[-1].endswith("is finished: nothing to do")
    assert {path: path.stat().st_mtime_ns for path in run.root.rglob("*") if path.is_file()} == before


def test_a_run_of_other_settings_is_refused(trained: tuple[RunFolder, list[str]], folder: Path) -> None:
    with pytest.raises(UsageError, match=r"options.model.width was 16, now 8.*: give another --run"):
        fit(config(folder, trained[0].root, "model.width=8"))


def test_a_folder_of_other_things_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("words")
    with pytest.raises(UsageError, match="contains other files"):
        fit(config(folder, tmp_path))
    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.txt"]


def test_a_missing_package_leaves_no_run_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingDependency, match="--wandb needs a package"):
        fit(config(folder, tmp_path / "run", wandb="genres"))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_other_ones(folder: Path, tmp_path: Path) -> None:
    def weights(name: str, seed: int) -> dict[str, Any]:
        wanted = config(folder, tmp_path / name, "training.epochs=1", f"training.seed={seed}")
        loaded: dict[str, Any] = load_file(fit(wanted).model_path)
        return loaded

    first, again, other = weights("a", 1), weights("b", 1), weights("c", 2)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first if "weight" in name)


@pytest.mark.slow
def test_random_weights_are_refused_unless_they_are_allowed(tmp_path: Path) -> None:
    genre_store(tmp_path, random_seed=3)
    wanted = config(tmp_path, tmp_path / "run", "training.epochs=1")
    with pytest.raises(DataError, match="--allow-random-weights"):
        fit(wanted)
    run = fit(replace(wanted, allow_random_weights=True))
    assert run.config()["random_weights"] == ["clip", "panns"]


@pytest.mark.parametrize(
    ("assignment", "words"),
    [("vggish.cap=3", "options were given for 'vggish'; the experts are clip, panns"), ("clip.cap=0", "cap")],
)
def test_steps_of_experts_that_are_not_there_are_refused(
    assignment: str, words: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        fit(config(folder, tmp_path / "run", assignment))


@pytest.mark.slow
def test_the_split_may_be_a_column_or_a_file_and_needs_videos_to_validate(
    folder: Path, tmp_path: Path
) -> None:
    rows = (folder / "labels.csv").read_text("utf-8").splitlines()
    parts = ["part", *(("test", "val", *["train"] * 8)[i % 10] for i in range(len(rows) - 1))]
    labels = tmp_path / "labels.csv"
    # Ids are the last part of the store's, as a file of YouTube ids has them.
    lines = [f"{row.removeprefix('films/')},{part}" for row, part in zip(rows, parts, strict=True)]
    labels.write_text("\n".join(lines) + "\n", "utf-8")
    lists: dict[str, list[str]] = {"trn": [], "val": [], "tst": []}
    for line, part in zip(lines[1:], parts[1:], strict=True):
        lists[{"train": "trn", "val": "val", "test": "tst"}[part]].append(line.partition(",")[0])
    (tmp_path / "splits.json").write_text(json.dumps(lists), "utf-8")

    def sizes(name: str, *assignments: str) -> Any:
        wanted = config(folder, tmp_path / name, "training.epochs=1", *assignments)
        return fit(replace(wanted, labels=labels)).config()["split_sizes"]

    by_column = sizes("column", "split.by=column", "split.name=part")
    by_file = sizes("file", "split.by=file", f"split.name={tmp_path / 'splits.json'}")
    assert by_column == by_file == {"train": 38, "validation": 5, "test": 5}
    (tmp_path / "splits.json").write_text(json.dumps({**lists, "val": []}), "utf-8")
    with pytest.raises(DataError, match=r"38 videos to train on and 0 to validate"):
        sizes("none", "split.by=file", f"split.name={tmp_path / 'splits.json'}")


@pytest.mark.slow
def test_one_genre_alone_is_trained_and_measured(folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("video_id,genres\n" + "".join(f"films/{i:03d},Drama\n" for i in range(48)))
    chosen = replace(config(folder, tmp_path / "run", "training.epochs=1"), labels=labels)
    figures = json.loads((fit(chosen).root / "metrics.json").read_text("utf-8"))["figures"]
    assert figures["ap_macro"]["value"] == 1


@pytest.mark.slow
def test_an_interrupt_leaves_a_run_that_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from train.runs.genre_learner import GenreLearner

    rate = GenreLearner.rate

    def interrupt(module: GenreLearner, epoch: int) -> float:
        if epoch == 1:
            raise KeyboardInterrupt
        return rate(module, epoch)

    wanted = config(folder, tmp_path / "run", "training.epochs=2")
    with monkeypatch.context() as patched:
        patched.setattr(GenreLearner, "rate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(wanted)
    said: list[str] = []
    assert fit(wanted, said.append).finished
    assert [line[:8] for line in said if line.startswith("epoch")] == ["epoch 2:"]


@pytest.mark.slow
def test_an_expert_that_is_read_as_its_mean_is_averaged_in_the_model(folder: Path, tmp_path: Path) -> None:
    wanted = config(
        folder, tmp_path / "run", "clip.mean=true", "training.epochs=1", model="multi-transformer"
    )
    assert fit(wanted).config()["options"]["model"]["averaged"] == ["clip"]


KILLED = """
import os, signal, sys
from train.cli.commands import main
from train.runs.genre_learner import GenreLearner

def kill(module, step, rank):
    if step == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return begin_step(module, step, rank)

begin_step, GenreLearner.begin_step = GenreLearner.begin_step, kill
main()
"""


@pytest.mark.slow
def test_a_process_that_was_killed_in_mid_epoch_ends_with_the_same_weights(
    folder: Path, tmp_path: Path
) -> None:
    """33 videos in batches of 8 are 5 steps: checkpoints after 3, 5 (an epoch), 6, 9, ... of 15 steps."""
    import torch

    whole, killed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")
    options = (*TRANSFORMER, "training.checkpoint_steps=3", "training.epochs=3")
    command = [
        sys.executable, "-c", KILLED, "--features", str(folder / "features"), "--labels",
        str(folder / "labels.csv"), "--run", str(killed.root), "--model", "single-transformer",
        "--device", "cpu", *(f"--set={text}" for text in options),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert torch.load(killed.last_checkpoint, weights_only=True)["global_step"] == 6
    assert not killed.finished and not killed.model_path.exists()

    said: list[str] = []
    fit(config(folder, killed.root, *options, model="single-transformer"), said.append)
    assert any(line.startswith("resuming from") for line in said)
    assert [line[:8] for line in said if line.startswith("epoch")] == ["epoch 2:", "epoch 3:"]
    fit(config(folder, whole.root, *options, model="single-transformer"))

    ends = [torch.load(run.last_checkpoint, weights_only=True) for run in (whole, killed)]
    assert [end["global_step"] for end in ends] == [15, 15]
    assert all(torch.equal(value, ends[1]["state_dict"][key]) for key, value in ends[0]["state_dict"].items())
    for expected, mine in (
        (whole.model_path, killed.model_path),
        (whole.normalisation_path, killed.normalisation_path),
        (whole.history_path, killed.history_path),
    ):
        assert expected.read_bytes() == mine.read_bytes()
    assert pq.read_table(whole.predictions_path).equals(pq.read_table(killed.predictions_path))


def test_batches_are_pinned_where_the_device_is_a_gpu(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    pinned: list[torch.Tensor] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor)
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    for device in ("cpu", "cuda"):
        pinned.clear()
        data = load(replace(config(folder, tmp_path / "run"), hardware=Hardware(device=device)))
        data.normalisation(tmp_path / "normalisation.safetensors")
        batch = next(iter(data.batches("train", shuffle=True)))
        groups = (batch.features, batch.padding, batch.present, batch.start_seconds, {"": batch.labels})
        held = [any(t is other for other in pinned) for group in groups for t in group.values()]
        assert set(held) == {device == "cuda"}
