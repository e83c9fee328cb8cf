"""The loss and the validation of a genre model in training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch.nn import functional

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
        torch.testing.assert_close(learner(batch), factor * mean)


def test_a_validation_is_measured_as_a_whole() -> None:
    """The averages of scikit-learn over all batches, and the loss of each video once."""
    torch.manual_seed(0)
    weights = torch.tensor([0.5, 1.0, 2.0])
    model = make_model("i3d-mean", {"clip": 4}, 3).eval()
    learner = GenreLearner(model, Training(), weights)
    batches = [make_batch({"clip": [1] * videos}, {"clip": 4}, genres=3, seed=videos) for videos in (7, 2)]
    for _ in range(2):  # the second validation knows nothing of the first
        with torch.inference_mode():
            for index, batch in enumerate(batches):
                learner.validate(batch, index)
        figures = learner.figures(0)
    with torch.no_grad():
        logits = torch.cat([model(batch) for batch in batches])
    labels = torch.cat([batch.labels for batch in batches if batch.labels is not None])
    assert labels.any(dim=0).all()
    loss = functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=weights)
    assert figures == pytest.approx(
        {
            "validation/loss": float(loss),
            "validation/map": average_precision_score(labels, logits, average="macro"),
            "validation/micro": average_precision_score(labels, logits, average="micro"),
        }
    )


def test_a_genre_that_no_validation_video_has_is_left_out_of_the_map() -> None:
    torch.manual_seed(0)
    model = make_model("i3d-mean", {"clip": 4}, 3).eval()
    learner = GenreLearner(model, Training(), torch.ones(3))
    batch = make_batch({"clip": [1] * 9}, {"clip": 4}, genres=3, seed=7)
    labels = batch.labels
    assert labels is not None and labels.any(dim=0).all()

    def reached(genres: list[int]) -> float:
        """The mAP where these alone have positives."""
        kept = torch.tensor([float(genre in genres) for genre in range(3)])
        with torch.inference_mode():
            learner.validate(replace(batch, labels=labels * kept), 0)
        return learner.figures(0)["validation/map"]

    with torch.no_grad():
        scores = model(batch).sigmoid()
    for genres in ([0, 1, 2], [0, 2], [1]):
        expected = average_precision_score(labels[:, genres], scores[:, genres], average="macro")
        assert reached(genres) == pytest.approx(expected), genres
    assert np.isnan(reached([]))


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
