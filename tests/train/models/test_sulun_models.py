"""The classifiers of Sulun et al. 2024 have the paper's sizes, and read a video whole in inference."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.fixtures.batches import make_batch
from train.loading.steps import Steps
from train.registry import make_model
from train.settings import choose

PAPER = {"clip": 512, "panns": 128, "musicnet": 64, "ocr_distilbert": 768, "asr_distilbert": 768}
CODE = {"clip": 512, "beats": 768, "face_emotion": 768, "asr_sentiment": 768, "ocr_sentiment": 768}


def model_of(preset: str) -> tuple[Any, dict[str, Any]]:
    choices = choose(preset=preset)
    dims = CODE if preset.startswith("sulun2024-code") else PAPER
    options: dict[str, Any] = dict(choices.model_options)
    if choices.model == "multi-transformer":  # as a training does
        options["averaged"] = [name for name, steps in choices.steps.items() if steps.get("mean")]
    return make_model(choices.model, {name: dims[name] for name in choices.experts}, 21, options), options


def test_sizes_of_the_paper() -> None:
    _, single = model_of("sulun2024/single-transformer")
    _, multi = model_of("sulun2024/multi-transformer")
    assert (single["layers"], single["heads"], single["width"]) == (2, 8, 256)
    assert (multi["layers"], multi["heads"], multi["width"]) == (1, 8, 128)
    assert multi["averaged"] == ["ocr_distilbert", "asr_distilbert"], "the row of mAP 66.02"
    mlp, _ = model_of("sulun2024/mlp")
    assert [tuple(p.shape) for p in mlp.parameters() if p.ndim == 2] == [(256, 2240), (21, 256)]
    code, options = model_of("sulun2024-code/single-transformer")
    assert options["feedforward"] == 4 * options["width"] == 5120
    assert isinstance(code.transformer.norm, torch.nn.LayerNorm)
    assert code.transformer.layers[0].activation is torch.nn.functional.relu


@pytest.mark.parametrize("name", ["mlp", "single-transformer", "multi-transformer"])
def test_training_is_cut_and_inference_is_not(name: str) -> None:
    steps = {expert: Steps(**given) for expert, given in choose(preset=f"sulun2024/{name}").steps.items()}
    caps = {"clip": 216, "panns": 140, "musicnet": 18, "ocr_distilbert": 64, "asr_distilbert": 86}
    assert {expert: len(one.choose(300, draw=(0,))) for expert, one in steps.items()} == caps
    assert {len(one.at_test.choose(300, draw=(0,))) for one in steps.values()} == {300}


def test_each_expert_has_a_separator_before_its_steps() -> None:
    dims = {"clip": 6, "panns": 4}
    model: Any = make_model("single-transformer", dims, 3, {"width": 8, "heads": 2, "layers": 1}).eval()
    seen = []
    model.transformer.register_forward_pre_hook(lambda _, given: seen.append(given))
    with torch.no_grad():
        model(make_batch({"clip": (2,), "panns": (0,)}, dims, genres=3))
    tokens, hidden = seen[0]
    assert hidden.tolist() == [[False, False, False, False, True, True]], "of an absent one not even <SEP>"
    assert torch.equal(tokens[0, 0], model.cls) and torch.equal(tokens[0, 1], model.seps[0])
    assert torch.equal(tokens[0, 4], model.seps[1]) and not torch.equal(model.seps[0], model.seps[1])


def test_positions_of_a_longer_video_are_spread_over_those_that_training_has_reached() -> None:
    torch.manual_seed(0)
    model: Any = make_model("multi-transformer", {"clip": 4}, 2, {"width": 8, "heads": 2, "longest": 20})
    steps = model.encoders[0].steps
    steps.dropout.p = 0.0
    with torch.no_grad():
        model.train()(make_batch({"clip": (5, 3)}, {"clip": 4}, genres=2))
        model.eval()
        short = steps._positions(torch.arange(3), torch.full((3,), 3))
        long = steps._positions(torch.arange(9), torch.full((9,), 9))
    assert int(steps.reached) == 5
    torch.testing.assert_close(short, steps.table[:3])
    torch.testing.assert_close(long[::2], steps.table[:5])
    torch.testing.assert_close(long[1], (steps.table[0] + steps.table[1]) / 2)
