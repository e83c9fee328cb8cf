"""A run whose model has changed since it was trained."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from extract.errors import UsageError
from train.registry import make_model
from train.runs.run_folder import FORMAT, RunFolder


def test_weights_of_an_older_form_of_the_model_are_refused_with_what_to_do(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.create()
    genres = {"genres": ["a", "b"], "inputs": {"clip": 4}, "model": "i3d-mean", "options": {"model": {}}}
    run.claim({"format": FORMAT, "marquee": "0.1", **genres})
    run.save_model(make_model("mlp", {"clip": 4}, 2))
    with pytest.raises(UsageError, match=r"do not fit the model 'i3d-mean' of marquee .* train again"):
        run.load_model()


def test_a_figure_without_a_value_is_null(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_json(run.training_path, {"best_map": math.nan, "networks": {"a": {"best": [math.nan, 0.5]}}})
    assert "NaN" not in run.training_path.read_text("utf-8")
    assert json.loads(run.training_path.read_text("utf-8"))["networks"] == {"a": {"best": [None, 0.5]}}


def test_what_failed_before_it_was_trained_gives_way_to_other_settings(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a run")
    run.create()
    run.claim({"format": FORMAT, "marquee": "0.1", "seed": 0})
    run.normalisation_path.write_bytes(b"of the first")
    said: list[str] = []
    run.claim({"format": FORMAT, "marquee": "0.1", "seed": 1}, log=said.append)
    assert said == [f"begins anew: {str(run.root)!r} had trained nothing yet (seed was 0, now 1)"]
    assert run.config()["seed"] == 1 and not run.normalisation_path.exists()
    run.checkpoints.mkdir()
    run.last_checkpoint.write_bytes(b"of the second")
    with pytest.raises(
        UsageError, match=r"seed was 1, now 2\): give another --run, or delete it .*rm -r '/.*a run'"
    ):
        run.claim({"format": FORMAT, "marquee": "0.1", "seed": 2})
    run.write_json(run.training_path, {})
    with pytest.raises(UsageError, match=r"seed was 1, now 2\): give another --run$"):
        run.claim({"format": FORMAT, "marquee": "0.1", "seed": 2})
