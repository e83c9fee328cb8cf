"""Importing the trainer loads no engine, expert, decoder or cluster; its command line no heavy library."""

from __future__ import annotations

from tests.fixtures.fresh_process import loaded_by

NOT_FOR_TRAINING = (
    "extract.decoder.", "extract.detectors.", "extract.engine.", "extract.experts.", "extract.media.",
    "extract.nets.", "extract.weights.", "pipeline.work.", "av.", "dask.", "distributed.",
)  # fmt: skip
LIGHT = ("extract.weights", "extract.weights.hashing")  # sums of files, and where they are kept
# Seconds that no training needs; scikit-learn is imported where a rule splits the labels.
NOT_FOR_THE_FIRST_STEP = {
    "lightning", "matplotlib", "pandas", "scipy", "sklearn", "tensorboard", "torchmetrics", "torchvision",
    "transformers",
}  # fmt: skip
HEAVY = ("torch", "lightning", "pyarrow", "matplotlib", "sklearn", "scipy", "faiss", "transformers")


TRAINER = (
    "train",
    "train.evaluation.evaluate",
    "train.finetuning.finetune",
    "train.loading.stream",
    "train.retrieval.retrieve",
    "train.runs.fit",
    "train.runs.run_folder",
    "train.settings",
    "train.views.space",
)


def test_training_loads_nothing_that_extracts() -> None:
    """All in one process: each would load torch again, for seconds."""
    found = loaded_by(", ".join(TRAINER))
    assert set(TRAINER) <= set(found)
    beyond = [name for name in found if f"{name}.".startswith(NOT_FOR_TRAINING)]
    assert sorted(set(beyond) - set(LIGHT)) == []
    assert {name.partition(".")[0] for name in found} & NOT_FOR_THE_FIRST_STEP == set()


def test_grids_load_no_expert_and_no_library_of_clusters() -> None:
    """They spread trainings by the cluster code of extraction (train.runs.workers), and no more of it."""
    found = loaded_by("train.comparison.grid, train.tuning.search")
    assert "train.runs.workers" in found
    never = ("extract.experts.", "extract.nets.", "av.", "dask.", "distributed.")
    assert [name for name in found if f"{name}.".startswith(never) and name != "extract.experts"] == []


def test_help_and_listings_wait_for_no_library() -> None:
    found = loaded_by("train, train.cli.commands, train.settings")
    assert sorted({name.partition(".")[0] for name in found} & set(HEAVY)) == []
