"""Cnn14 against stored vectors, the published classes, and librosa."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extract.experts.panns import MINIMUM_SAMPLES
from extract.nets.cnn14 import Cnn14, dft_kernels, mel_bank
from extract.weights.checkpoints import load_state_dict, load_strict, seeded, to_be_filled

VARIANTS = {"panns_cnn14": 2048, "panns_cnn14_emb128": 128}


def noise(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(7).uniform(-1, 1, shape).astype(np.float32))


def undrawn(embedding_size: int = 2048) -> Cnn14:
    with to_be_filled():
        return Cnn14(embedding_size=embedding_size).eval()


@pytest.mark.parametrize("name", VARIANTS)
def test_every_stage_agrees_with_the_reference(name: str, parity: Any) -> None:
    network = undrawn(VARIANTS[name])
    load_strict(network, load_state_dict(parity.checkpoint(name, f"{name}.pth")), what=name)
    reference = parity.reference(name)
    for index, (length, seed) in enumerate(reference["waves"].tolist()):
        waves = torch.from_numpy(parity.inputs.waveform(length, 32_000, seed))[None]
        with torch.inference_mode():
            logmel = network.logmel(waves)
            embedding, tags = network(waves)
        for stage, mine in (("logmel", logmel[0, ::5]), ("embedding", embedding[0]), ("clipwise", tags[0])):
            key = f"wav{index}_{stage}"
            parity.assert_close(name, key, mine.numpy(), reference[key])


@pytest.mark.parametrize("name", VARIANTS)
def test_the_state_dict_has_the_published_names_and_shapes(name: str, parity: Any) -> None:
    published = parity.rule.load_table(parity.folder / "shapes" / f"{name}.json")["keys"]
    mine = {k: list(v.shape) for k, v in undrawn(VARIANTS[name]).state_dict().items()}
    assert mine == published


def test_our_weights_load_into_the_published_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchlibrosa")
    (tmp_path / "panns_data").mkdir()
    rows = ["index,mid,display_name", *(f"{i},/m/{i},tag{i}" for i in range(527))]
    (tmp_path / "panns_data" / "class_labels_indices.csv").write_text("\n".join(rows))
    monkeypatch.setenv("HOME", str(tmp_path))  # the package looks there as it is imported, or downloads
    models = pytest.importorskip("panns_inference.models")
    mine = undrawn()
    theirs = models.Cnn14(32_000, 1024, 320, 64, 50, 14_000, 527).eval()

    def compare() -> None:
        waves = noise(2, 20_000)
        with torch.inference_mode():
            expected = theirs(waves)
            embedding, tags = mine(waves)
        assert np.ptp(embedding.numpy()) > 1e-3
        np.testing.assert_allclose(embedding.numpy(), expected["embedding"].numpy(), atol=1e-5)
        np.testing.assert_allclose(tags.numpy(), expected["clipwise_output"].numpy(), atol=1e-5)

    load_strict(mine, theirs.state_dict(), what="Cnn14")
    compare()
    seeded(mine, 3)
    theirs.load_state_dict(mine.state_dict(), strict=True)
    compare()
    for module in [m for m in sys.modules if m.startswith("panns_inference")]:
        del sys.modules[module]


def test_the_front_end_is_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    np.testing.assert_allclose(
        mel_bank().T, librosa.filters.mel(sr=32_000, n_fft=1024, n_mels=64, fmin=50, fmax=14_000), atol=1e-7
    )
    real, imaginary = dft_kernels()
    wave = noise(1, 1024)[0].numpy()
    windowed = wave * librosa.filters.get_window("hann", 1024)
    np.testing.assert_allclose(
        real[:, 0] @ wave + 1j * (imaginary[:, 0] @ wave), np.fft.rfft(windowed), atol=1e-3
    )
    waves = noise(1, 32_000)
    mel = librosa.feature.melspectrogram(
        y=waves[0].numpy(), sr=32_000, n_fft=1024, hop_length=320, n_mels=64, fmin=50, fmax=14_000,
        pad_mode="reflect",
    )  # fmt: skip
    with torch.inference_mode():
        mine = undrawn().logmel(waves)[0].numpy()
    np.testing.assert_allclose(mine.T, librosa.power_to_db(mel, amin=1e-10, top_db=None), atol=1e-3)


def test_silence_and_the_shortest_input_stay_finite() -> None:
    network = undrawn(128)
    seeded(network, 0)
    with torch.inference_mode():
        embedding, tags = network(torch.zeros(1, MINIMUM_SAMPLES))
        assert embedding.isfinite().all() and tags.isfinite().all()
        with pytest.raises(RuntimeError):
            network(torch.zeros(1, MINIMUM_SAMPLES - 1))
