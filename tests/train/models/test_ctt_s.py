"""Spectrograms: each segment an instance in training, the mean of the predictions at test."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tests.fixtures.batches import make_batch
from train.loading.batch import Batch
from train.registry import make_model

DIM = {"spectrogram": 4 * 5}


def make(**options: Any) -> Any:
    torch.manual_seed(0)
    return make_model("ctt-s", DIM, 3, {"moments": 4, "filters": 8, "dropout": 0, **options})


def batch(steps: tuple[int, ...]) -> Batch:
    return make_batch({"spectrogram": steps}, DIM, genres=3)


def logits_of_segments(model: Any, batch: Batch, video: int, steps: int) -> Tensor:
    """Each segment through batch normalisation, module and head by itself."""
    sounds = batch.features["spectrogram"][video, :steps].view(steps, 4, 5)
    norm = model.norm
    scaled = (sounds - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    values = functional.conv1d(scaled.transpose(1, 2), *model.module.convolution.parameters())
    found: Tensor = model.head(values.amax(2).relu())
    return found


def test_the_prediction_is_the_mean_of_the_segments_predictions() -> None:
    model, some = make().eval(), batch((3, 1, 5))
    with torch.no_grad():
        model.norm.running_mean.normal_()
        model.norm.running_var.uniform_(0.5, 2)
        found = model(some).sigmoid()
        for video, steps in enumerate((3, 1, 5)):
            expected = logits_of_segments(model, some, video, steps).sigmoid().mean(0)
            torch.testing.assert_close(found[video], expected)


def test_each_segment_has_the_genres_of_its_video_in_the_loss() -> None:
    model, some = make().eval(), batch((3, 1, 0))
    assert some.labels is not None
    weights = torch.tensor([1.0, 0.5, 2.0])
    rows = [logits_of_segments(model, some, 0, 3), logits_of_segments(model, some, 1, 1)]
    logits = torch.cat([*rows, model.head(model.absent)[None]])
    expected = functional.binary_cross_entropy_with_logits(
        logits, some.labels[[0, 0, 0, 1, 2]], pos_weight=weights
    )
    torch.testing.assert_close(model.loss(some, weights), expected)


def test_batches_without_any_sound_can_be_trained_on() -> None:
    model, silent = make().train(), batch((0, 0))
    model.loss(silent, torch.ones(3)).backward()
    assert model.absent.grad.abs().sum() > 0
    assert model.norm.running_mean.isfinite().all() and model(silent).isfinite().all()


def test_the_statistics_are_those_of_segments_not_of_padding() -> None:
    model, some = make().train(), batch((3, 1))
    model(some)
    heard = torch.cat([some.features["spectrogram"][0, :3], some.features["spectrogram"][1, :1]])
    torch.testing.assert_close(model.norm.running_mean, 0.1 * heard.view(-1, 5).mean(0))
