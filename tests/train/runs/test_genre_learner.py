"""The loss and the validation of a genre model in training."""

from __future__ import annotations

import pytest
import torch

from tests.fixtures.batches import make_batch
from train.registry import make_model
from train.runs.genre_learner import GenreLearner
from train.settings import Training


def test_the_loss_may_be_the_sum_over_the_genres() -> None:
    torch.manual_seed(0)
    batch, weights = make_batch({"clip": (3, 2)}, {"clip": 4}, genres=5), torch.ones(5)
    model = make_model("i3d-mean", {"clip": 4}, 5, {"dropout": 0})
    mean = model.loss(batch, weights)
    for summed, factor in ((False, 1), (True, 5)):
        learner = GenreLearner(model, Training(sum_genres=summed), weights)
        torch.testing.assert_close(learner.training_step(batch, 0), factor * mean)


@pytest.mark.parametrize(
    ("monitor", "expected"),
    [
        ("map", ("validation/map", "max")),
        ("micro", ("validation/micro", "max")),
        ("loss", ("validation/loss", "min")),
    ],
)
def test_epochs_go_by_the_figure_that_was_named(monitor: str, expected: tuple[str, str]) -> None:
    model = make_model("i3d-mean", {"clip": 4}, 5)
    training = Training(monitor=monitor)  # type: ignore[arg-type]
    assert GenreLearner(model, training, torch.ones(5)).monitor == expected
