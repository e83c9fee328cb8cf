"""One expert's frames in ten crops: how rows become crops, and what is done with them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.fixtures.batches import make_batch, pad
from train.layers.ctt import averaged
from train.layers.frames import by_crop
from train.loading.batch import Batch
from train.registry import make_model


def test_rows_of_pictures_become_a_sequence_for_each_crop() -> None:
    rows = torch.arange(12.0).reshape(1, 12, 1).repeat(3, 1, 1)
    features, padding = by_crop(rows, pad([12, 6, 4]), 3)
    assert features.shape == (3, 3, 4, 1) and padding.shape == (3, 3, 4)
    assert features[0, 1, :, 0].tolist() == [1, 4, 7, 10]
    assert padding[1].tolist() == [[False, False, True, True]] * 3
    assert padding[2].tolist() == [[False, True, True, True]] * 3, "of the second picture two crops are cut"


def test_fewer_rows_than_crops_are_no_picture() -> None:
    features, padding = by_crop(torch.ones(2, 2, 4), pad([2, 1]), 3)
    assert features.shape == (2, 3, 1, 4) and padding.all()


@pytest.mark.parametrize("name", ["ctt", "lstm"])
def test_predictions_of_the_crops_are_averaged_and_training_draws_one(name: str) -> None:
    torch.manual_seed(0)
    small = {"dropout": 0.0} | ({"filters": 8} if name == "ctt" else {"units": 8})
    model: Any = make_model(name, {"clip": 5}, 2, {**small, "crops": 3}).eval()
    single: Any = make_model(name, {"clip": 5}, 2, small).eval()
    single.load_state_dict(model.state_dict())
    batch = make_batch({"clip": [12, 6, 3]}, {"clip": 5})
    logits = torch.stack([single(crop(batch, k, 3)) for k in range(3)], dim=1)
    torch.testing.assert_close(model(batch), averaged(logits, torch.full((3,), 1 / 3)))
    torch.testing.assert_close(
        model.embed(batch), torch.stack([single.embed(crop(batch, k, 3)) for k in range(3)]).mean(0)
    )
    model.train()
    seen = {tuple(near(logits, model(batch))) for _ in range(30)}
    assert len(seen) > 9 and {pick for picks in seen for pick in picks} == {0, 1, 2}


@pytest.mark.parametrize("name", ["ctt", "lstm"])
def test_a_shorter_video_is_followed_by_frames_of_zeros(name: str) -> None:
    torch.manual_seed(0)
    small = {"dropout": 0.0} | ({"filters": 8} if name == "ctt" else {"units": 8})
    model: Any = make_model(name, {"clip": 5}, 2, {**small, "padded": 4, "crops": 2}).eval()
    plain: Any = make_model(name, {"clip": 5}, 2, {**small, "crops": 2}).eval()
    plain.load_state_dict(model.state_dict())
    short, full = make_batch({"clip": [4, 0, 12]}, {"clip": 5}), make_batch({"clip": [8, 0, 12]}, {"clip": 5})
    features = short.features["clip"]  # the first video has 2 pictures of 2 crops, and 2 of zeros
    filled = Batch(
        short.ids, {"clip": features}, full.padding, full.present, full.start_seconds, short.labels
    )
    torch.testing.assert_close(model(short), plain(filled))
    assert not torch.allclose(model(short)[0], plain(short)[0])
    assert torch.equal(model(short)[1], plain(short)[1]), "one without frames is what it was"


def crop(batch: Batch, k: int, crops: int) -> Batch:
    """Every ``crops``-th row, from ``k`` on."""
    return Batch(
        batch.ids,
        {name: f[:, k::crops] for name, f in batch.features.items()},
        {name: p[:, k::crops] for name, p in batch.padding.items()},
        batch.present,
        {name: s[:, k::crops] for name, s in batch.start_seconds.items()},
    )


def near(logits: torch.Tensor, found: torch.Tensor) -> list[int]:
    """Which crop's prediction each video's is; it must be one of them."""
    distance = (logits - found.unsqueeze(1)).abs().amax(dim=2)
    assert distance.amin(dim=1).max() < 1e-5
    picks: list[int] = distance.argmin(dim=1).tolist()
    return picks
