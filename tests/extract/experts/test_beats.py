"""BEATs against the reference vectors, its masking against a shorter input, its buckets against T5's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extract.errors import WeightsError
from extract.expert import Resources
from extract.experts.beats import Beats, BeatsModel, BeatsOptions, normalised_fbank
from extract.nets import beats
from extract.types import AudioBlock, Item, MediaInfo

MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, False, True)
RATE = 16_000
SHORT = BeatsOptions(window_seconds=0.5, hop_seconds=0.25)
FILE = "BEATs_iter3_plus_AS2M_finetuned_on_AS2M_cpt2.pt"


def items_of(samples: np.ndarray, options: BeatsOptions | None = None) -> list[Item]:
    tap = Beats(options).tap(MEDIA)
    return [*tap.audio(AudioBlock(samples, RATE, 0.0)), *tap.close()]


def embeddings(model: Any, items: list[Item]) -> np.ndarray:
    return np.stack([rows[0]["embedding"] for rows in model(items)])


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(2).uniform(-1, 1, round(seconds * RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def checkpoint(parity: Any) -> Iterator[Path]:
    path = parity.checkpoint("beats", FILE)
    yield path
    path.unlink()  # 363 MB


@pytest.fixture(scope="module")
def random_model() -> Any:
    return Beats().load(Resources(random_seed=0))


def test_a_published_file_gives_the_reference(checkpoint: Path, parity: Any) -> None:
    model: Any = Beats().load(Resources(weights={"model": checkpoint}))
    reference = parity.reference("beats")
    for index, (length, seed) in enumerate(reference["waves"].tolist()):
        samples = parity.inputs.waveform(length, RATE, seed)
        (item,) = items_of(samples, BeatsOptions(window_seconds=length / RATE, hop_seconds=1.0))
        features = embeddings(model, [item])[0]
        fbank = torch.from_numpy(item.arrays["fbank"])[None]
        heard = torch.ones(1, fbank.shape[1] // 16 * 8, dtype=torch.bool)
        with torch.inference_mode():
            tokens = model.network.encode(fbank, heard)[0].numpy()
            tags = model.network.probabilities(torch.from_numpy(features)).numpy()
        stages = {
            "fbank": item.arrays["fbank"][::8],
            "tokens": tokens[::16],
            "features": features,
            "probabilities": tags,
            "n_tokens": np.array([len(tokens)]),
        }
        for stage, mine in stages.items():
            key = f"wav{index}_{stage}"
            parity.assert_close("beats", key, mine, reference[key])


def test_the_state_dict_has_the_published_names_and_shapes(random_model: Any, parity: Any) -> None:
    published = parity.rule.load_table(parity.folder / "shapes" / "beats.json")["keys"]
    assert {k: list(v.shape) for k, v in random_model.network.state_dict().items()} == published


def test_one_position_bias_serves_all_layers(random_model: Any) -> None:
    state = random_model.network.state_dict()
    first, *others = [v for k, v in state.items() if k.endswith("relative_attention_bias.weight")]
    assert len(others) == 11 and all(other.data_ptr() == first.data_ptr() for other in others)


def test_the_buckets_are_single_steps_then_logarithmic() -> None:
    """T5's rule in whole and decimal numbers: 80 single steps, 80 up to a distance of 800."""
    buckets = beats.relative_buckets(900)
    for distance in range(900):
        far = 80 + int(80 * math.log(max(distance, 1) / 80) / math.log(10) + 1e-9)
        expected = distance if distance < 80 else min(far, 159)
        assert buckets[distance, 0] == expected, distance
        assert buckets[0, distance] == expected + (160 if distance else 0), distance


def test_the_position_convolutions_weight_is_torchs_weight_norm(random_model: Any) -> None:
    layer = random_model.network.encoder.pos_conv[0]
    tokens = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 24, 768)).astype(np.float32))
    weight = torch._weight_norm(layer.weight_v, layer.weight_g, 2)
    plain = torch.nn.Conv1d(768, 768, 128, padding=64, groups=16)
    plain.load_state_dict({"weight": weight, "bias": layer.bias})
    with torch.inference_mode():
        expected = torch.nn.functional.gelu(plain(tokens.transpose(1, 2))[..., :-1]).transpose(1, 2)
        np.testing.assert_allclose(layer(tokens), expected, atol=1e-5)


def test_a_partial_window_is_what_the_network_says_of_the_sound_alone(random_model: Any) -> None:
    samples = noise(1.2)  # 118 frames, of which 112 make patches
    (item,) = items_of(samples)
    assert item.arrays["fbank"].shape == (298, 128)
    fbank = torch.from_numpy(normalised_fbank(samples)[:112])[None]
    heard = torch.ones(1, 56, dtype=torch.bool)
    with torch.inference_mode():
        alone = random_model.network.encode(fbank, heard).mean(1)[0].numpy()
    mine = embeddings(random_model, [item])[0]
    np.testing.assert_allclose(mine, alone, atol=1e-4)
    assert np.abs(mine).max() > 0.1


def test_a_window_gives_the_same_bits_whatever_the_batch(random_model: Any) -> None:
    items = items_of(noise(1.6), SHORT)
    assert random_model([]) == []
    six = embeddings(random_model, items)
    np.testing.assert_array_equal(embeddings(random_model, items[::-1]), six[::-1])
    np.testing.assert_array_equal(embeddings(random_model, items[2:3]), six[2:3])
    assert six.shape == (6, 768) and np.isfinite(six).all() and np.ptp(six, axis=0).max() > 0


def test_silence_and_a_few_samples_are_finite(random_model: Any) -> None:
    items = items_of(np.zeros(RATE // 2, np.float32), SHORT) + items_of(np.ones(3, np.float32), SHORT)
    assert len(items) == 2 and np.isfinite(embeddings(random_model, items)).all()


def test_half_precision_stays_within_two_percent(random_model: Any) -> None:
    items = items_of(noise(0.5), SHORT)
    whole = embeddings(random_model, items)
    half = embeddings(BeatsModel(deepcopy(random_model.network), Resources(precision="bfloat16")), items)
    assert 0 < np.linalg.norm(half - whole) / np.linalg.norm(whole) < 0.02


def test_other_files_are_refused(checkpoint: Path, random_model: Any, tmp_path: Path) -> None:
    path = tmp_path / FILE
    pre_trained = {k: v for k, v in random_model.network.state_dict().items() if "predictor" not in k}
    torch.save(
        {"cfg": {}, "model": {k: torch.zeros(1).expand(v.shape) for k, v in pre_trained.items()}}, path
    )
    with pytest.raises(WeightsError, match=r"BEATs.*2 missing: predictor.weight, predictor.bias"):
        Beats().load(Resources(weights={"model": path}))
    torch.save({"embeddings.0.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"BEATs.*looks like a VGGish"):
        Beats().load(Resources(weights={"model": path}))
    with checkpoint.open("rb") as file:
        path.write_bytes(file.read(1_000_000))
    with pytest.raises(WeightsError, match="truncated"):
        Beats().load(Resources(weights={"model": path}))
