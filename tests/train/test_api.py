"""What Python offers of the trainer: the settings of the command line, refused before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import train
from extract.errors import MarqueeError

NEW = "a new folder"
FIT: list[tuple[dict[str, Any], str]] = [
    ({"features": None}, "features is None; a path"),
    ({"features": 3}, "features is 3; a path"),
    ({"features": "nowhere"}, "is not a feature store"),
    ({"labels": None}, "labels is None; a path is needed"),
    ({"labels": "missing.csv"}, "missing.csv"),
    ({"run": None}, "run is None; a path is needed"),
    ({"run": __file__}, "contains other files: give a new folder"),
    ({"run": 7}, "run is 7; a path is needed"),
    ({"model": "mpl"}, "no model 'mpl'; there are .*did you mean 'mlp'"),
    ({"model": ["mlp"]}, r"model is \['mlp'\]; a text is needed"),
    ({"preset": "sulun2024/mpl"}, "no preset 'sulun2024/mpl'; .*did you mean 'sulun2024/mlp'"),
    ({"experts": "clip"}, "experts is 'clip'; a list is needed"),
    ({"experts": [1]}, "experts is 1; a text is needed"),
    ({"experts": ["clipp"]}, "has no rows of expert 'clipp'"),
    ({"options": "training.epochs=3"}, "options is 'training.epochs=3'; a mapping"),
    ({"options": {"training": 3}}, r"options\['training'\] is 3; a mapping"),
    ({"options": {"training": {"epochs": "many"}}}, "training.epochs is 'many'; a whole number is needed"),
    ({"options": {"training": {"epochs": 2.5}}}, "training.epochs is 2.5; a whole number is needed"),
    ({"options": {"training": {"epochs": 0}}}, "epochs is 0; at least 1 is needed"),
    ({"options": {"training": {"learning_rate": float("nan")}}}, "learning_rate is nan; a number is needed"),
    ({"options": {"training": {"learning_rate": float("inf")}}}, "learning_rate is inf; a number is needed"),
    ({"options": {"training": {"seed": -1}}}, "seed is -1; 0 or more is needed"),
    ({"options": {"split": {"seed": -1}}}, "seed is -1"),
    ({"options": {"labels": {"least_videos": 0}}}, "least_videos is 0"),
    ({"options": {"model": {"width": "wide"}}}, "model.width is 'wide'; a whole number is needed"),
    ({"device": "gpu"}, "device is 'gpu'; allowed: auto, cpu, cuda, cuda:N"),
    ({"device": None}, "device is None; a text is needed"),
    ({"gpus": "first"}, "gpus is 'first'"),
    ({"gpus": 0}, "gpus is 0; a text is needed"),
    ({"precision": "half"}, "precision is 'half'; allowed: float32, float16, bfloat16"),
    ({"allow_random_weights": "perhaps"}, "allow_random_weights is 'perhaps'; true or false is needed"),
    ({"wandb": 3}, "wandb is 3; a text is needed"),
    ({"log": "print"}, "log is 'print'; a function of one line is needed"),
    ({"modell": "mlp"}, "train.fit has no argument 'modell'; .*did you mean 'model'"),
]  # fmt: skip
COMPARE: list[tuple[dict[str, Any], str]] = [
    ({"features": None}, "features is None; a path"),
    ({"labels": "missing.csv"}, "missing.csv"),
    ({"out": None}, "out is None; a path is needed"),
    ({"out": __file__}, "test_api.py"),
    ({"paper": "sulun"}, "no paper 'sulun'; .*did you mean 'sulun2024'"),
    ({"models": "mlp"}, "models is 'mlp'; a list is needed"),
    ({"models": ["mpl"]}, "no model 'mpl'|there is no model mpl"),
    ({"experts": "clip"}, "experts is 'clip'; a list is needed"),
    ({"seeds": []}, "compare needs seeds"),
    ({"seeds": 0}, "seeds is 0; a list is needed"),
    ({"seeds": [-1]}, "seeds is -1"),
    ({"seeds": ["first"]}, "seeds is 'first'; a whole number is needed"),
    ({"steps": [0]}, "steps is 0"),
    ({"steps": [1.5]}, "steps is 1.5; a whole number is needed"),
    ({"tables": "steps"}, "tables is 'steps'; a list is needed"),
    ({"tables": ["step"]}, "no table 'step'"),
    ({"device": "gpu"}, "device is 'gpu'"),
    ({"precision": "half"}, "precision is 'half'"),
    ({"seed": 1}, "train.compare has no argument 'seed'"),
]  # fmt: skip


def refused(call: Any, given: dict[str, Any], words: str, made: Path) -> None:
    before = Path(__file__).read_bytes()
    with pytest.raises(MarqueeError, match=words) as caught:
        call(**given)
    assert "\n" not in str(caught.value)
    assert not made.exists() and Path(__file__).read_bytes() == before, "nothing is begun"


@pytest.mark.parametrize(
    ("given", "words"), FIT, ids=[f"{name}={v}" for g, _ in FIT for name, v in g.items()]
)
def test_a_training_that_cannot_be_is_refused(
    given: dict[str, Any], words: str, folder: Path, tmp_path: Path
) -> None:
    right = {"features": folder / "features", "labels": folder / "labels.csv", "run": tmp_path / "run"}
    refused(train.fit, {"device": "cpu", **right, **given}, words, tmp_path / "run")


@pytest.mark.parametrize(
    ("given", "words"), COMPARE, ids=[f"{name}={v}" for g, _ in COMPARE for name, v in g.items()]
)
def test_a_comparison_that_cannot_be_is_refused(
    given: dict[str, Any], words: str, folder: Path, tmp_path: Path
) -> None:
    right = {"features": folder / "features", "labels": folder / "labels.csv", "out": tmp_path / "out"}
    refused(train.compare, {"device": "cpu", **right, **given}, words, tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"run": None}, "run is None; a path is needed"),
        ({"out": 3}, "out is 3; a path is needed"),
        ({"features": 3}, "features is 3; a path"),
        ({"options": {"epochs": 0}}, "epochs is 0; at least 1"),
        ({"options": {"temperature": float("nan")}}, "temperature is nan; a number is needed"),
        ({"options": {"epoch": 1}}, "finetune has no option 'epoch'; .*did you mean 'epochs'"),
        ({"options": 3}, "3; a mapping"),
        ({"precision": "half"}, "precision is 'half'"),
        ({}, "is not a run"),
    ],
)
def test_a_fine_tuning_that_cannot_be_is_refused(given: dict[str, Any], words: str, tmp_path: Path) -> None:
    refused(train.finetune, {"run": tmp_path, "out": tmp_path / "out", **given}, words, tmp_path / "out")


@pytest.mark.parametrize(
    ("run", "store", "words"),
    [(None, "x", "run is None; a path is needed"), (3, "x", "run is 3"), ("nowhere", "x", "is not a run")],
)
def test_a_prediction_of_no_run_is_refused(run: Any, store: Any, words: str) -> None:
    with pytest.raises(MarqueeError, match=words):
        train.predict_store(run, store)
    with pytest.raises(MarqueeError, match=words):
        train.predict_videos(run, Path(__file__).parent)


def test_a_training_by_paths_and_names_leaves_a_run(folder: Path, tmp_path: Path, no_curves: None) -> None:
    said: list[str] = []
    options = {"training": {"epochs": 1}, "model": {"width": 8}}
    run = train.fit(
        str(folder / "features"), str(folder / "labels.csv"), str(tmp_path / "run"), model="mlp",
        options=options, device="cpu", log=said.append,
    )  # fmt: skip
    assert run.finished and run.config()["options"]["model"]["width"] == 8 and said[-1].startswith("test mAP")
    found = train.predict_store(str(run.root), str(folder / "features"))
    assert len(found.ids) == 48
