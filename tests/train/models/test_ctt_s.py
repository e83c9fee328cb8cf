"""Spectrograms: one of each part, their vectors averaged before one head and one loss; samples at test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tests.fixtures.batches import make_batch
from train.importers.writing import Source, write_store
from train.loading.batch import Batch
from train.registry import make_model
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.settings import Hardware, choose, parse_assignments

DIM = {"spectrogram": 4 * 5}


def make(**options: Any) -> Any:
    torch.manual_seed(0)
    return make_model("ctt-s", DIM, 3, {"moments": 4, "filters": 8, "dropout": 0, **options})


def batch(steps: tuple[int, ...]) -> Batch:
    return make_batch({"spectrogram": steps}, DIM, genres=3)


def vectors_of_steps(model: Any, batch: Batch, video: int, steps: int) -> Tensor:
    """Each step through batch normalisation and module by itself, (steps, filters)."""
    sounds = batch.features["spectrogram"][video, :steps].view(steps, 4, 5)
    norm = model.norm
    scaled = (sounds - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    values = functional.conv1d(scaled.transpose(1, 2), *model.module.convolution.parameters())
    return values.amax(2).relu()


def test_at_test_the_predictions_of_the_samples_are_averaged() -> None:
    model, some = make(parts=3, samples=4).eval(), batch((7, 1, 3))
    with torch.no_grad():
        model.norm.running_mean.normal_()
        model.norm.running_var.uniform_(0.5, 2)
        found, embedded = model(some).sigmoid(), model.embed(some)
        for video, steps in enumerate((7, 1, 3)):
            vectors = vectors_of_steps(model, some, video, steps)
            ends = [part * steps // 3 for part in range(4)]
            lengths = np.diff(ends)
            places = [
                [ends[part] + int(u * lengths[part]) for part, u in enumerate(row)] for row in model.points
            ]
            samples = torch.stack([vectors[chosen].mean(0) for chosen in places])
            torch.testing.assert_close(found[video], model.head(samples).sigmoid().mean(0))
            torch.testing.assert_close(embedded[video], samples.mean(0))
        assert torch.equal(model(some), model(some)), "always the same samples"
    assert make().points.shape == (10, 11), "the paper's: 10 samples of 11 parts"


def test_a_trailer_has_one_loss_of_the_mean_of_its_parts() -> None:
    model, some = make(parts=3).eval(), batch((3, 1, 0))  # as many steps as parts: nothing to draw
    assert some.labels is not None
    weights = torch.tensor([1.0, 0.5, 2.0])
    means = [vectors_of_steps(model, some, video, steps).mean(0) for video, steps in ((0, 3), (1, 1))]
    logits = model.head(torch.stack([*means, model.absent]))
    expected = functional.binary_cross_entropy_with_logits(logits, some.labels, pos_weight=weights)
    torch.testing.assert_close(model.loss(some, weights), expected)


def test_training_draws_one_step_of_each_part_and_others_each_time() -> None:
    model, some = make(parts=2).train(), batch((4,))
    model.norm.eval()
    vectors = vectors_of_steps(model, some, 0, 4)
    pairs = {(i, j): (vectors[i] + vectors[j]) / 2 for i in (0, 1) for j in (2, 3)}
    seen = set()
    for _ in range(40):
        (found,) = model.vectors(some)[0]
        distances = {pair: float((found - mean).abs().max().detach()) for pair, mean in pairs.items()}
        nearest = min(distances, key=lambda pair: distances[pair])
        assert distances[nearest] < 1e-5
        seen.add(nearest)
    assert seen == set(pairs)


def test_batches_without_any_sound_can_be_trained_on() -> None:
    model, silent = make().train(), batch((0, 0))
    model.loss(silent, torch.ones(3)).backward()
    assert model.absent.grad.abs().sum() > 0
    assert model.norm.running_mean.isfinite().all() and model(silent).isfinite().all()


def test_the_statistics_are_those_of_drawn_steps_not_of_padding() -> None:
    model, some = make(parts=3).train(), batch((3, 1))
    model(some)
    heard = torch.cat([some.features["spectrogram"][0, :3], some.features["spectrogram"][1, :1]])
    torch.testing.assert_close(model.norm.running_mean, 0.1 * heard.view(-1, 5).mean(0))


FILMS, SOUNDS = 240, 4


def heard(number: int) -> tuple[bool, bool]:
    """Whether a film has the first sound and the second one."""
    first, second = np.random.default_rng((3, number)).random(2) < 0.5
    return bool(first), bool(second)


def segments(video_id: str) -> NDArray[np.float32]:
    """Four segments of 4 moments and 5 frequencies; a sound is a frequency in one segment of its own."""
    number = int(video_id)
    random = np.random.default_rng((4, number))
    rows = 0.3 * random.normal(size=(SOUNDS, 4, 5))
    places = random.permutation(SOUNDS)
    for frequency, there in enumerate(heard(number)):
        rows[places[frequency], :, frequency] += 4.0 * there
    return rows.reshape(SOUNDS, 20).astype(np.float32)


@pytest.fixture(scope="module")
def exactly_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store and labels: ``one`` is exactly one of two sounds, in half of the films."""
    folder = tmp_path_factory.mktemp("exactly_one")
    ids = [f"{i:03d}" for i in range(FILMS)]
    write_store(folder / "features", ids, [Source("spectrogram", 20, segments, {})], options={})
    names = {(False, False): "neither", (True, True): "both"}
    lines = [f"{name},{names.get(heard(int(name)), 'one')}" for name in ids]
    (folder / "labels.csv").write_text("\n".join(["video_id,genres", *lines]) + "\n", "utf-8")
    return folder


@pytest.mark.slow
def test_a_genre_that_is_exactly_one_of_two_sounds_is_learned(exactly_one: Path, tmp_path: Path) -> None:
    """No segment alone tells: what averages predictions of segments ends near chance."""
    given = [
        "model.moments=4", "model.filters=16", "model.hidden=16", "model.parts=4", "model.samples=2",
        "training.epochs=30", "training.monitor=loss", "training.batch_size=16",
        "training.learning_rate=0.01", "training.seed=0",
    ]  # fmt: skip
    choices = choose(model="ctt-s", options=parse_assignments(given))
    config = FitConfig(
        exactly_one / "features",
        exactly_one / "labels.csv",
        tmp_path / "run",
        choices,
        Hardware(device="cpu"),
    )
    run = fit(config)
    one = json.loads((run.root / "metrics.json").read_text("utf-8"))["per_genre"]["one"]
    assert one["ap"]["value"] >= 0.95 and one["ap"]["random"] < 0.6
    assert min(one["precision@0.5"]["value"], one["recall@0.5"]["value"]) >= 0.85
