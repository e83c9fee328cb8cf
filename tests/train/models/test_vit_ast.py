"""The baseline in two stages: perceptrons on single frames, frozen, then transformers over whole videos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import precision_score, recall_score
from torch import nn
from torch.nn import functional

from tests.fixtures.batches import make_batch
from train.registry import make_model
from train.runs.config import FitConfig
from train.runs.fit import fit
from train.settings import Hardware, choose

DIMS = {"vit": 6, "ast": 4}
SMALL = {"width": 8, "heads": 2, "layers": 1, "feedforward": 16, "frame_width": 8}


def make(**options: Any) -> Any:
    torch.manual_seed(0)
    return make_model("vit-ast", DIMS, 3, {**SMALL, **options}).eval()


def test_sizes_of_the_paper() -> None:
    with torch.device("meta"):
        options = choose(preset="sulun2024/vit-ast").model_options
        model: Any = make_model("vit-ast", {"vit": 768, "ast": 768}, 21, options)
    for network in model.perceptrons:
        widths = [tuple(p.shape) for p in network.parameters() if p.ndim == 2]
        assert widths == [(768, 768), (768, 768), (21, 768)], "two layers of 768 and the genres of a frame"
    for encoder in model.encoders:
        (block,) = encoder.transformer.layers
        assert (block.self_attn.embed_dim, block.self_attn.num_heads) == (768, 4)
    assert [tuple(p.shape) for p in model.head.parameters()] == [(21, 2 * 768), (21,)], "one linear layer"


def test_the_loss_of_a_perceptron_is_that_of_single_frames_with_the_genres_of_their_video() -> None:
    model, batch = make(), make_batch({"vit": (3, 1, 0), "ast": (0, 2, 2)}, DIMS, genres=3)
    weights = torch.tensor([1.0, 0.25, 2.0])
    assert batch.labels is not None
    image, sound = model.perceptrons
    frames = torch.cat([batch.features["vit"][0, :3], batch.features["vit"][1, :1]])
    logits = image.head(image.hidden(frames))
    labels = batch.labels[[0, 0, 0, 1]]
    expected = functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=weights)
    torch.testing.assert_close(image.loss(batch, weights), expected)
    torch.testing.assert_close(image(batch)[0].sigmoid(), logits[:3].sigmoid().mean(0))
    assert image(batch)[2].tolist() == [0, 0, 0] == sound(batch)[0].tolist(), "nothing seen: even scores"
    silent = make_batch({"vit": (1, 1), "ast": (0, 0)}, DIMS, genres=3)
    assert sound.loss(silent, weights).item() == 0


def test_the_transformers_see_the_vectors_of_the_frames() -> None:
    model, batch = make(), make_batch({"vit": (3, 1), "ast": (1, 2)}, DIMS, genres=3)
    seen = []
    model.encoders[0].register_forward_pre_hook(lambda _, given: seen.append(given))
    embedded = model.embed(batch)
    vectors, padding = seen[0]
    torch.testing.assert_close(vectors[0], model.perceptrons[0].hidden(batch.features["vit"][0]))
    torch.testing.assert_close(vectors[1, 0], model.perceptrons[0].hidden(batch.features["vit"][1, 0]))
    assert torch.equal(padding, batch.padding["vit"]) and not vectors[1, 1:].any()
    torch.testing.assert_close(model(batch), model.head(embedded))


@pytest.mark.slow
def test_the_perceptrons_stay_as_their_own_training_left_them(
    folder: Path, tmp_path: Path, no_curves: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = set()
    whole = nn.Module.__call__

    def watched(module: nn.Module, *given: Any) -> Any:
        if type(module).__name__ == "VitAst" and module.training:
            modes.add(module.perceptrons[0].hidden.training)  # type: ignore[union-attr, index]
        return whole(module, *given)

    monkeypatch.setattr(nn.Module, "__call__", watched)
    options: Any = {
        "model": {**SMALL, "width": 16, "frame_width": 16, "dropout": 0.1},
        "training": {"epochs": 10, "learning_rate": 1e-2, "batch_size": 8, "monitor": "loss"},
    }
    choices = choose(model="vit-ast", options=options)
    run = fit(
        FitConfig(
            folder / "features",  # type: ignore[arg-type]
            folder / "labels.csv",
            tmp_path / "run",
            choices,
            Hardware(device="cpu"),
        )
    )
    assert modes == {False}, "frozen ones drop nothing out"
    weights = load_file(run.model_path)
    went = json.loads(run.training_path.read_text("utf-8"))
    assert went["networks"].keys() == {"clip", "panns"}
    for i, name in enumerate(went["networks"]):
        best = torch.load(run.of_network(name).best_checkpoint, weights_only=True)["state_dict"]
        for key, value in best.items():
            assert torch.equal(weights[key.replace("model.", f"perceptrons.{i}.", 1)], value), key
    second = torch.load(run.best_checkpoint, weights_only=True)["state_dict"]
    assert torch.equal(second["model.head.1.weight"], weights["head.1.weight"])
    rows = [r for r in pq.read_table(run.predictions_path).to_pylist() if r["split"] == "test"]
    target, guess = ([[v >= 0.5 for v in row[name]] for row in rows] for name in ("target", "score"))
    assert precision_score(target, guess, average="macro") > 0.8
    assert recall_score(target, guess, average="macro") > 0.8
