"""Presets, ``--set`` and flags: what they come to, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from extract.errors import UsageError
from train.loading.steps import Steps
from train.registry import make_model, model_class, model_names, model_options
from train.settings import (
    PRESETS,
    SECTIONS,
    Hardware,
    Training,
    choose,
    hardware_of,
    load_preset,
    parse_assignments,
    preset_names,
)

SECTION_LINES = [f"[options.{section}]" for section in SECTIONS]
PAPER = [name for name in preset_names() if name.startswith("sulun2024/")]


def test_there_is_a_preset_for_every_model_of_the_paper() -> None:
    assert {load_preset(name).model for name in PAPER} == {
        "mlp",
        "multi-transformer",
        "single-transformer",
        "vit-ast",
    }
    assert sorted(f"sulun2024/{load_preset(name).model}" for name in PAPER) == PAPER


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.slow
def test_a_preset_is_what_its_model_and_the_trainer_take(name: str) -> None:
    choices = choose(preset=name)
    assert choices.model in model_names() and load_preset(name).summary
    inputs = model_class(choices.model).suits or {"a": 2, "b": 3}
    assert make_model(choices.model, inputs, 4, choices.model_options).inputs == inputs
    for expert, steps in choices.steps.items():
        assert expert in choices.experts and Steps(**steps) != Steps()


@pytest.mark.parametrize("name", PAPER)
def test_the_numbers_of_the_paper(name: str) -> None:
    choices = choose(preset=name)
    training = choices.training
    assert (training.optimizer, training.learning_rate, training.batch_size) == ("adam", 1e-5, 32)
    assert training.positive_weight == 0.25 and not training.balance
    assert training.clip == (None if choices.model == "mlp" else 1.0)
    assert training.patience == 100_000 // -(-18_488 // 32), (
        "the code's steps without a better one, in epochs"
    )
    assert choices.split.by == "sulun" and choices.split.fractions == (0.7, 0.1, 0.2)
    assert model_options(choices.model, choices.model_options).dropout == 0.5
    caps = {expert: steps["cap"] for expert, steps in choices.steps.items()}
    expected = {"clip": 216, "ocr_distilbert": 64, "asr_distilbert": 86, "panns": 140, "musicnet": 18}
    assert caps == ({} if choices.model == "vit-ast" else expected)


@pytest.mark.parametrize("name", PAPER)
def test_every_number_of_the_paper_says_where_it_is_from(name: str) -> None:
    section = ""
    for line in (PRESETS / f"{name}.toml").read_text("utf-8").splitlines():
        section = line if line.startswith("[") else section
        if "=" in line and section in SECTION_LINES:
            assert any(f"# {source}" in line for source in ("(3.2", "paper", "code", "ours", "not stated")), (
                line
            )


def test_the_users_options_are_over_the_presets() -> None:
    choices = choose(
        preset="sulun2024/multi-transformer",
        experts=["clip", "panns"],
        options=parse_assignments(["model.dropout=0.3", "clip.cap=9", "clip.how=random", "training.seed=4"]),
    )
    assert choices.experts == ("clip", "panns")
    assert choices.model_options["dropout"] == "0.3" and choices.model_options["width"] == 128
    assert choices.steps["clip"] == {"cap": "9", "how": "random", "whole": True}
    assert choices.training.seed == 4 and choices.training.learning_rate == 1e-5
    assert "musicnet" in choices.optional and "clip" not in choices.optional


def test_another_model_takes_the_presets_training_only() -> None:
    choices = choose(preset="sulun2024/multi-transformer", model="mlp")
    assert choices.model == "mlp" and choices.model_options == {} and choices.training.batch_size == 32


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("training.batch_size=0", "batch_size is 0; at least 1"),
        ("training.batch_size=many", "training.batch_size is 'many'; a whole number is needed"),
        ("training.learning_rate=-1", "learning_rate is -1.0; more than 0"),
        ("training.learning_rate=nan", "learning_rate is nan; a number is needed"),
        ("training.weight_decay=-1", "weight_decay is -1.0; 0 or more"),
        ("training.seed=-1", "seed is -1; 0 or more"),
        ("training.optimizer=sgd", "allowed: adam, amsgrad, adamw"),
        ("training.speed=1", "training has no option 'speed'; it has: epochs"),
        ("split.by=column", "split.name goes with"),
        ("split.name=fold", "split.name goes with"),
        ("labels.genre=x", "labels has no option 'genre'"),
        ("dropout=0.3", "the form is NAME.OPTION=VALUE"),
        ("model.dropout", "the form is NAME.OPTION=VALUE"),
    ],
)
def test_options_that_cannot_be_are_refused(assignment: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choose(options=parse_assignments([assignment]))


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no preset 'sulun'; there are .*sulun2024/mlp"):
        choose(preset="sulun")


@pytest.mark.parametrize(
    ("hardware", "words"),
    [
        ({"device": "tpu"}, "--device is 'tpu'; allowed: auto, cpu, cuda, cuda:N"),
        ({"device": "cpu:1"}, "--device is 'cpu:1'"),
        ({"device": "cpu", "gpus": "all"}, "cannot be combined"),
        ({"gpus": "first"}, "--gpus is 'first'"),
    ],
)
def test_hardware_that_cannot_be_is_refused(hardware: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Hardware(**hardware)


@pytest.mark.parametrize(
    ("hardware", "gpus", "expected"),
    [
        (Hardware(), 0, ["cpu"]),
        (Hardware(), 2, ["cuda:0"]),
        (Hardware(device="cpu"), 2, ["cpu"]),
        (Hardware(device="cuda:1"), 2, ["cuda:1"]),
        (Hardware(gpus="all"), 3, ["cuda:0", "cuda:1", "cuda:2"]),
        (Hardware(gpus="0,2"), 3, ["cuda:0", "cuda:2"]),
    ],
)
def test_every_process_has_a_device(
    hardware: Hardware, gpus: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert hardware.devices == expected
    assert (hardware.torch_device, hardware.on_gpu) == (expected[0], expected[0] != "cpu")


@pytest.mark.parametrize("hardware", [Hardware(device="cuda"), Hardware(gpus="all"), Hardware(gpus="0,1")])
def test_a_gpu_that_is_not_there_is_refused(hardware: Hardware, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UsageError, match=r"GPU \d was requested; this machine has 0"):
        assert hardware.devices


def test_the_defaults_are_written_down() -> None:
    page = (Path(__file__).parents[2] / "docs" / "train.md").read_text("utf-8")
    for name, value in Training().__dict__.items():
        assert f"| `training.{name}` | {value} |" in page, name


@pytest.mark.parametrize("given", ["cpu", "", 0, {"device": "cpu"}])
def test_hardware_is_nothing_else(given: Any) -> None:
    with pytest.raises(UsageError, match=r"hardware is .*; Hardware\(\.\.\.\) is needed"):
        hardware_of(given)
    assert hardware_of(None) == Hardware()
