"""The fusion of frames and sound, and the share that the validation split chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from tests.fixtures.batches import make_batch
from train.loading.batch import Batch
from train.registry import make_model

DIMS = {"clip": 6, "spectrogram": 20}
SMALL = {"moments": 4, "filters": 16, "hidden": 8, "dropout": 0}


def make(**options: Any) -> Any:
    torch.manual_seed(0)
    return make_model("ctt-tn", DIMS, 4, {**SMALL, **options}).eval()


def batches() -> Sequence[Batch]:
    counts = [1 + i % 3 for i in range(20)]
    return [make_batch({"clip": counts, "spectrogram": counts}, DIMS, genres=4, seed=i) for i in range(3)]


def test_the_prediction_is_0_6_of_the_frames_and_0_4_of_the_sound() -> None:
    model, batch = make(), batches()[0]
    with torch.no_grad():
        expected = 0.6 * model.frames(batch).sigmoid() + 0.4 * model.sound(batch).sigmoid()
        torch.testing.assert_close(model(batch).sigmoid(), expected)
    assert model.embed(batch).shape == (20, 32)


def test_settling_finds_the_best_share() -> None:
    model, validation = make(), batches()
    labels = torch.cat([batch.labels for batch in validation if batch.labels is not None]).numpy()
    with torch.no_grad():
        frames = torch.cat([model.frames(batch).sigmoid() for batch in validation]).numpy()
        sound = torch.cat([model.sound(batch).sigmoid() for batch in validation]).numpy()
    by_share = [
        average_precision_score(labels, w * frames + (1 - w) * sound, average="micro")
        for w in np.linspace(0, 1, 21)
    ]
    model.settle(validation, torch.ones(4))
    assert by_share[round(20 * float(model.share))] == pytest.approx(max(by_share), abs=1e-9)
    assert max(by_share) > by_share[12] + 1e-3, "0.6 was not the best here"


def test_of_equal_shares_the_nearest_to_the_papers_is_kept() -> None:
    model = make()
    model.sound.load_state_dict(model.sound.state_dict())
    for network in (model.frames, model.sound):  # both say the same of all videos
        for parameter in network.head.parameters():
            torch.nn.init.zeros_(parameter)
    model.settle(batches(), torch.ones(4))
    assert float(model.share) == pytest.approx(0.6)


def test_the_share_may_be_given() -> None:
    model = make(share=0.25, search=False)
    model.settle(batches(), torch.ones(4))
    assert float(model.share) == 0.25


def test_the_sound_may_have_another_name_and_place() -> None:
    torch.manual_seed(0)
    model: Any = make_model("ctt-tn", {"loud": 20, "clip": 6}, 4, {**SMALL, "sound": "loud"})
    assert model.sound.inputs == {"loud": 20} and model.frames.inputs == {"clip": 6}
