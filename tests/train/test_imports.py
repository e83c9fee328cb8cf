"""Importing the trainer loads no engine, expert, decoder or cluster; its command line no heavy library."""

from __future__ import annotations

import pytest

from tests.fixtures.fresh_process import loaded_by

NOT_FOR_TRAINING = (
    "extract.decoder.", "extract.detectors.", "extract.engine.", "extract.experts.", "extract.media.",
    "extract.nets.", "extract.weights.", "pipeline.work.", "av.", "dask.", "distributed.",
)  # fmt: skip
HEAVY = ("torch", "lightning", "pyarrow", "matplotlib", "sklearn", "scipy", "faiss", "transformers")


@pytest.mark.parametrize(
    "module",
    [
        "train",
        "train.comparison.grid",
        "train.evaluation.evaluate",
        "train.finetuning.finetune",
        "train.loading.stream",
        "train.retrieval.retrieve",
        "train.runs.fit",
        "train.runs.run_folder",
        "train.settings",
        "train.views.space",
    ],
)
def test_training_loads_nothing_that_extracts(module: str) -> None:
    assert [name for name in loaded_by(module) if f"{name}.".startswith(NOT_FOR_TRAINING)] == []


@pytest.mark.parametrize("module", ["train", "train.cli.commands", "train.settings"])
def test_help_and_listings_wait_for_no_library(module: str) -> None:
    assert sorted({name.partition(".")[0] for name in loaded_by(module)} & set(HEAVY)) == []
