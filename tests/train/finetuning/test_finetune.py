"""The fine-grained stage: halves, rates, what it changes, and on from where it was ended."""

from __future__ import annotations

import csv
import json
import math
import signal
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import load_file

from extract.errors import UsageError
from tests.fixtures.batches import make_batch
from tests.fixtures.genre_store import genre_store
from tests.fixtures.killed import run_killed
from train.errors import DataError
from train.evaluation.evaluate import evaluate_run
from train.finetuning.contrastive import nt_xent
from train.finetuning.fine_learner import FineLearner, FineOptions, genre_silhouette, halves
from train.finetuning.finetune import FinetuneConfig, finetune
from train.models.mmx import Mmx
from train.registry import make_model
from train.runs.config import FitConfig
from train.runs.embeddings import embed_store
from train.runs.fit import fit
from train.runs.predict import predict_store
from train.runs.run_folder import RunFolder
from train.settings import Hardware, choose

CPU = Hardware(device="cpu")
SMALL = {
    "width": 8, "clip_width": 6, "clips": 1, "sequences": 5, "sequence_width": 8, "bottleneck_width": 12,
    "hidden": 8,
}  # fmt: skip
OPTIONS = FineOptions(
    epochs=4, constant_epochs=2, learning_rate=3e-3, projection=6, batch_size=8, checkpoint_steps=3
)


@pytest.fixture(scope="module")
def coarse(folder: Path) -> RunFolder:
    training = {"epochs": 2, "learning_rate": 3e-3, "batch_size": 16}
    choices = choose(model="mmx", options={"model": SMALL, "training": training})
    return fit(FitConfig(folder / "features", folder / "labels.csv", folder / "coarse", choices, CPU))


def config(coarse: RunFolder, out: Path, **changes: Any) -> FinetuneConfig:
    return FinetuneConfig(coarse.root, out, replace(OPTIONS, **changes), hardware=CPU)


@pytest.fixture(scope="module")
def fine(coarse: RunFolder, folder: Path) -> tuple[RunFolder, list[str]]:
    said: list[str] = []
    return finetune(config(coarse, folder / "fine"), said.append), said


@pytest.mark.slow
def test_it_writes_a_run_of_the_same_form_in_another_space(
    fine: tuple[RunFolder, list[str]], coarse: RunFolder, folder: Path
) -> None:
    run, said = fine
    record = run.config()
    assert record["finetuned_from"] == str(coarse.root) and record["finetune"]["projection"] == 6
    assert {**record, "started": 0} == {
        **coarse.config(), "started": 0, "finetuned_from": str(coarse.root), "finetune": record["finetune"],
    }  # fmt: skip
    before, after = load_file(coarse.model_path), load_file(run.model_path)
    assert before.keys() == after.keys(), "the projection heads are left out"
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    heads = {name for name in before if name.startswith("head.")}
    assert {
        "whole.2.weight", "sequence.0.weight", "fusion.embeddings.0.gate.weight", "projections.0.weight"
    } <= changed  # fmt: skip
    assert heads and not heads & changed
    ids, vectors = embed_store(run, folder / "features", hardware=CPU)
    assert embed_store(coarse, folder / "features", hardware=CPU)[0] == ids
    assert vectors.shape == (48, 12)
    found = predict_store(run, folder / "features", hardware=CPU)
    rows = {row["video_id"]: row for row in pq.read_table(run.predictions_path).to_pylist()}
    old = {row["video_id"]: row for row in pq.read_table(coarse.predictions_path).to_pylist()}
    assert rows.keys() == old.keys() == set(found.ids)
    for video_id, scores in zip(found.ids, found.scores, strict=True):
        assert rows[video_id]["score"] == pytest.approx(scores, abs=1e-6)
        for same in ("split", "target"):
            assert rows[video_id][same] == old[video_id][same]
    assert evaluate_run(run.root).videos == record["split_sizes"]["test"]
    assert said[0].startswith("mmx: 33 videos to contrast, ")


def test_the_silhouette_of_every_epoch_is_written(
    fine: tuple[RunFolder, list[str]], coarse: RunFolder, folder: Path
) -> None:
    run, said = fine
    with (run.root / "silhouette.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert rows[0]["validation_loss"] == "" and float(rows[4]["validation_loss"]) > 0
    rates = [float(row["learning_rate"]) for row in rows[1:]]
    assert rates == pytest.approx([3e-3, 3e-3, 3e-3, 1.5e-3])
    history = json.loads(run.training_path.read_text("utf-8"))["history"]
    assert [row["silhouette"] for row in history] == [float(row["silhouette"]) for row in rows]
    known = {row["video_id"]: row for row in pq.read_table(run.predictions_path).to_pylist()}
    for place, of in ((0, coarse), (-1, run)):
        ids, vectors = embed_store(of, folder / "features", hardware=CPU)
        chosen = [i for i, name in enumerate(ids) if known[name]["split"] == "validation"]
        genres = {name: np.array(known[name]["target"], bool) for name in ids}
        expected = genre_silhouette([ids[i] for i in chosen], vectors[chosen], genres)
        assert history[place]["silhouette"] == pytest.approx(expected, abs=1e-5)
    assert said[-1].endswith(f"{history[0]['silhouette']:.4f} before, {history[-1]['silhouette']:.4f} after")


def test_halves_of_a_video_come_nearer_each_other_than_others(
    fine: tuple[RunFolder, list[str]], coarse: RunFolder, folder: Path
) -> None:
    """What the stage is for, without its projection heads: in the space that is kept."""
    from train.runs.run_store import batches_of

    def apart(run: RunFolder) -> float:
        model = run.load_model()
        assert isinstance(model, Mmx)
        sequences, there = zip(
            *(model.sequences(batch) for batch in batches_of(run, model, folder / "features")), strict=True
        )
        first, second = halves(torch.cat(there), torch.Generator().manual_seed(0))
        views = [model.pool(torch.cat(sequences) * half.unsqueeze(2)) for half in (first, second)]
        return float(nt_xent(*views, temperature=0.1))

    with torch.no_grad():
        assert apart(fine[0]) < apart(coarse) - 0.1


@pytest.mark.slow
def test_a_stage_that_was_ended_goes_on_to_the_same_weights_and_refuses_other_options(
    fine: tuple[RunFolder, list[str]], coarse: RunFolder, tmp_path: Path
) -> None:
    """33 videos in batches of 8 are 5 steps: checkpoints after 3, 5 (an epoch), 6, ... of 20 steps.

    A process is ended by Ctrl-C after 8 steps, the next one by SIGKILL when its first epoch is over.
    """
    command = ["finetune", "--run", str(coarse.root), "--out", str(tmp_path / "fine"), "--device", "cpu"]
    options = {name: "none" if value is None else value for name, value in asdict(OPTIONS).items()}
    command += [f"--set=finetune.{name}={value}" for name, value in options.items()]
    ended = run_killed(command, epochs=1, steps=3, by=signal.SIGINT)
    assert ended.returncode == 130 and "left at once; the last checkpoint is kept" in ended.stderr
    run, wanted, said = RunFolder(tmp_path / "fine"), config(coarse, tmp_path / "fine"), list[str]()
    assert not run.finished and not run.model_path.exists()
    assert torch.load(run.last_checkpoint, weights_only=True)["global_step"] == 6
    with pytest.raises(UsageError, match=r"temperature was 0.5, now 0.1\).*, or delete it .* rm -r .*/fine"):
        finetune(config(coarse, run.root, temperature=0.1))
    assert run_killed(command, epochs=1).returncode == -signal.SIGKILL
    finetune(wanted, said.append)
    assert said[0].startswith("resuming from")
    assert [line[:8] for line in said if line.startswith("epoch")] == ["epoch 3:", "epoch 4:"]
    whole = fine[0]
    assert run.model_path.read_bytes() == whole.model_path.read_bytes()
    assert run.silhouette_path.read_bytes() == whole.silhouette_path.read_bytes()
    assert pq.read_table(run.predictions_path).equals(pq.read_table(whole.predictions_path))
    said.clear()
    finetune(wanted, said.append)
    assert said == [f"{str(run.root)!r} is finished: nothing to do"]


@pytest.mark.slow
def test_a_stage_that_failed_before_it_trained_begins_anew_with_other_options(
    coarse: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(module: FineLearner, step: int, rank: int) -> None:
        raise DataError("no video has two sequences")

    with monkeypatch.context() as patched, pytest.raises(DataError, match="no video"):
        patched.setattr(FineLearner, "begin_step", fails)
        finetune(config(coarse, tmp_path, temperature=0.1))
    run, said, drawn = RunFolder(tmp_path), list[str](), tmp_path / "tensorboard" / "events.of.the.failed"
    assert run.normalisation_path.exists() and not run.begun
    drawn.parent.mkdir(exist_ok=True)
    drawn.touch()
    finetune(config(coarse, tmp_path, epochs=1, constant_epochs=1), said.append)
    assert said[0].startswith("begins anew: ") and "was 2, now 1, and 2 more" in said[0]
    assert run.finished and run.config()["finetune"]["temperature"] == 0.5 and not drawn.exists()


def test_what_cannot_be_fine_tuned_is_refused(
    coarse: RunFolder, fine: tuple[RunFolder, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"finetune.temperature was 0.5, now 0.1.*: give another --out"):
        finetune(config(coarse, fine[0].root, temperature=0.1))
    with pytest.raises(UsageError, match=r"finetune was None.*: give another --out"):
        finetune(config(coarse, coarse.root))
    genre_store(tmp_path, videos=20)
    with pytest.raises(DataError, match=r"has nothing of 28 videos of the run, e.g. 'films/020'"):
        finetune(replace(config(coarse, tmp_path / "b"), features=tmp_path / "features"))
    monkeypatch.setattr(RunFolder, "load_model", lambda run: make_model("mlp", {"clip": 6}, 3))
    with pytest.raises(UsageError, match="which has no sequences to contrast"):
        finetune(config(coarse, tmp_path / "a"))


def test_videos_of_one_sequence_each_end_the_stage() -> None:
    model = make_model("mmx", {"clip": 6}, 2, SMALL)
    assert isinstance(model, Mmx)
    module = FineLearner(model.eval(), OPTIONS, {}, lambda history: None)
    module.validate(make_batch({"clip": (1, 1)}, {"clip": 6}), 0)
    with pytest.raises(DataError, match=r"no video has two sequences"):
        module.figures(0)


def test_the_command(
    coarse: RunFolder, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from train.cli.commands import app

    out = str(tmp_path / "fine")
    command = ["finetune", "--run", str(coarse.root), "--out", out, "--device", "cpu"]
    moved = ["--features", str(folder / "features"), "--epochs", "1", "--batch-size", "16"]
    app([*command, *moved, "--set", "finetune.temperature=0.2"], standalone_mode=False)
    assert "silhouette of the genres" in capsys.readouterr().out
    record = RunFolder(tmp_path / "fine").config()["finetune"]
    assert (record["epochs"], record["batch_size"], record["temperature"]) == (1, 16, 0.2)
    with pytest.raises(UsageError, match=r"--set training...: the stage has finetune.OPTION=VALUE"):
        app([*command, "--set", "training.epochs=3"], standalone_mode=False)


def test_halves_are_random_and_share_what_is_there() -> None:
    there = torch.arange(7) < torch.tensor([[7], [4], [1], [0], [2]])
    drawn = [halves(there, torch.Generator().manual_seed(seed)) for seed in range(30)]
    for first, second in drawn:
        assert torch.equal(first | second, there) and not (first & second).any()
        assert first.sum(1).tolist() == [3, 2, 0, 0, 1]
    often = torch.stack([first for first, _ in drawn]).float().mean(0)
    assert (often[0] - 3 / 7).abs().max() < 0.35 and len({tuple(f[0].tolist()) for f, _ in drawn}) > 10
    again = halves(there, torch.Generator().manual_seed(0))
    assert torch.equal(again[0], drawn[0][0])


def test_videos_without_two_sequences_are_left_out_of_the_loss() -> None:
    torch.manual_seed(0)
    model = make_model("mmx", {"clip": 6}, 2, {**SMALL, "dropout": 0.0})
    assert isinstance(model, Mmx)
    module = FineLearner(model, OPTIONS, {}, lambda history: None)
    batch = make_batch({"clip": (4, 1, 3)}, {"clip": 6})
    sequences, there = model.sequences(batch)
    first, second = halves(there)
    kept = torch.tensor([0, 2])
    views = [module._project(sequences[kept], half[kept]) for half in (first, second)]
    expected = nt_xent(views[0], views[1], temperature=0.5)
    torch.testing.assert_close(module._loss(sequences, first, second), expected)
    alone = module._loss(sequences[:2], first[:2], second[:2])
    assert float(alone.detach()) == 0
    alone.backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in model.head.parameters())


def test_the_numbers_of_the_paper() -> None:
    options = FineOptions()
    assert (options.epochs, options.constant_epochs, options.learning_rate) == (50, 10, 1e-4)
    assert (options.temperature, options.projection) == (0.5, 128)
    assert (options.optimizer, options.batch_size) == ("amsgrad", 32), "as of the training on genres"


def test_the_rate_is_constant_and_then_half_a_cosine() -> None:
    options = FineOptions()
    rates = [options.rate(epoch) for epoch in range(50)]
    assert rates[:11] == [1e-4] * 11
    expected = [0.5e-4 * (1 + math.cos(math.pi * k / 40)) for k in range(40)]
    assert rates[10:] == pytest.approx(expected)
    assert options.temperature == 0.5 and options.training.patience is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 1}, "at least 2"), ({"projection": 0}, "projection is 0"), ({"epochs": 0}, "epochs"),
        ({"temperature": 0.0}, "temperature is 0.0"), ({"constant_epochs": -1}, "constant_epochs is -1"),
    ],
)  # fmt: skip
def test_impossible_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FineOptions(**options)
