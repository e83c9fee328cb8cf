"""AST against the reference vectors and against transformers, in both directions of the file."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from extract.errors import WeightsError
from extract.expert import Resources
from extract.experts.ast import Ast, AstModel, AstOptions, padded_fbank
from extract.nets.ast import Ast as Network
from extract.types import AudioBlock, Item, MediaInfo
from extract.weights.checkpoints import load_state_dict, load_strict

MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, False, True)
RATE = 16_000
FOLDER = "ast-finetuned-audioset-10-10-0.4593"


def items_of(samples: np.ndarray, options: AstOptions | None = None) -> list[Item]:
    tap = Ast(options).tap(MEDIA)
    return [*tap.audio(AudioBlock(samples, RATE, 0.0)), *tap.close()]


def embeddings(model: Any, items: list[Item]) -> np.ndarray:
    return np.stack([rows[0]["embedding"] for rows in model(items)])


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(2).uniform(-1, 1, round(seconds * RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def checkpoint(parity: Any) -> Iterator[Path]:
    path = parity.checkpoint("ast", FOLDER) / "model.safetensors"
    yield path
    path.unlink()  # 346 MB


@pytest.fixture(scope="module")
def one_layer() -> Any:
    """The model with the first of its twelve layers; the others cost time and add nothing here."""
    model: Any = Ast().load(Resources(random_seed=0))
    encoder = model.network.audio_spectrogram_transformer.encoder
    encoder.layer = encoder.layer[:1]
    return model


def test_a_published_file_gives_the_reference(checkpoint: Path, parity: Any) -> None:
    model: Any = Ast().load(Resources(weights={"model": checkpoint}))
    tokens: list[torch.Tensor] = []
    model.network.audio_spectrogram_transformer.register_forward_hook(
        lambda module, inputs, output: tokens.append(output[0])
    )
    reference = parity.reference("ast")
    for index, (length, seed) in enumerate(reference["waves"].tolist()):
        (item,) = items_of(parity.inputs.waveform(length, RATE, seed))
        pooled = embeddings(model, [item])[0]
        stages = {
            "fbank": item.arrays["fbank"][::16],
            "pooled": pooled,
            "tokens": tokens[index][::200].numpy(),
        }
        for stage, mine in stages.items():
            key = f"wav{index}_{stage}"
            parity.assert_close("ast", key, mine, reference[key])


def test_the_state_dict_has_the_published_names_and_shapes(parity: Any) -> None:
    published = parity.rule.load_table(parity.folder / "shapes" / "ast.json")["keys"]
    with torch.device("meta"):
        state = Network().state_dict()
    assert {k: list(v.shape) for k, v in state.items()} == published


def test_transformers_reads_ours_and_we_read_theirs(one_layer: Any, tmp_path: Path) -> None:
    transformers: Any = pytest.importorskip("transformers")
    transformers.ASTConfig(num_hidden_layers=1, num_labels=527).save_pretrained(tmp_path)
    save_file(one_layer.network.state_dict(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    theirs, report = transformers.ASTForAudioClassification.from_pretrained(
        tmp_path, local_files_only=True, output_loading_info=True
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    theirs.eval().save_pretrained(tmp_path / "saved")
    stored = load_file(tmp_path / "saved" / "model.safetensors")
    load_strict(one_layer.network, stored, what="AST")
    (item,) = items_of(noise(10.0))
    with torch.inference_mode():
        output = theirs.audio_spectrogram_transformer(torch.from_numpy(item.arrays["fbank"])[None])
        logits = theirs.classifier(output.pooler_output)[0]
    np.testing.assert_allclose(embeddings(one_layer, [item]), output.pooler_output, atol=1e-4)
    with_classes: Any = Ast(AstOptions(classes=3)).model(one_layer.network, Resources())
    ((row,),) = with_classes([item])
    np.testing.assert_allclose(row["embedding"][768:], logits, atol=1e-4)


@pytest.mark.filterwarnings("ignore:At least one mel filter")  # as published
@pytest.mark.parametrize("seconds", [0.3, 10.0, 11.0])
def test_the_front_end_is_that_of_transformers(seconds: float) -> None:
    transformers: Any = pytest.importorskip("transformers")
    samples = noise(seconds)
    extractor = transformers.ASTFeatureExtractor()
    theirs = extractor(samples, sampling_rate=RATE, return_tensors="np")["input_values"][0]
    np.testing.assert_allclose(padded_fbank(samples), theirs, atol=1e-5)


def test_a_partial_window_ends_in_the_published_padding() -> None:
    samples = noise(4.0)
    (item,) = items_of(samples)
    np.testing.assert_array_equal(item.arrays["fbank"], padded_fbank(samples))
    padding = np.float32(4.2677393) / np.float32(2 * 4.5689974)
    np.testing.assert_array_equal(item.arrays["fbank"][398:], np.full((626, 128), padding))


def test_a_window_gives_the_same_bits_whatever_the_batch(one_layer: Any) -> None:
    items = items_of(noise(17.0))
    assert one_layer([]) == []
    three = embeddings(one_layer, items)
    np.testing.assert_array_equal(embeddings(one_layer, items[::-1]), three[::-1])
    np.testing.assert_array_equal(embeddings(one_layer, items[1:2]), three[1:2])
    assert three.shape == (3, 768) and np.isfinite(three).all() and np.ptp(three, axis=0).max() > 0


def test_silence_and_a_few_samples_are_finite(one_layer: Any) -> None:
    items = items_of(np.zeros(RATE, np.float32)) + items_of(np.ones(3, np.float32))
    assert len(items) == 2 and np.isfinite(embeddings(one_layer, items)).all()


def test_half_precision_stays_within_two_percent(one_layer: Any) -> None:
    items = items_of(noise(10.0))
    whole = embeddings(one_layer, items)
    resources = Resources(precision="bfloat16")
    half = embeddings(AstModel(deepcopy(one_layer.network), resources, torch.nn.Identity()), items)
    assert 0 < np.linalg.norm(half - whole) / np.linalg.norm(whole) < 0.02


def test_other_files_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    state = load_state_dict(checkpoint)
    position = "audio_spectrogram_transformer.embeddings.position_embeddings"
    del state["classifier.dense.bias"]
    save_file(state | {position: torch.zeros(1, 602, 768)}, path)  # less overlap
    with pytest.raises(WeightsError, match=r"AST.*1 missing: classifier.dense.bias; .*\(1, 602, 768\), not"):
        Ast().load(Resources(weights={"model": path}))
    save_file({"embeddings.cls_token": torch.zeros(1, 1, 768)}, path)
    with pytest.raises(WeightsError, match=r"not the weights of AST fine-tuned on AudioSet.*203 missing"):
        Ast().load(Resources(weights={"model": path}))
    with checkpoint.open("rb") as file:
        path.write_bytes(file.read(1_000_000))
    with pytest.raises(WeightsError, match="truncated"):
        Ast().load(Resources(weights={"model": path}))
