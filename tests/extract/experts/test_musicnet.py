"""The music tagger against the reference vectors, through a file in the published format."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import scipy.signal
import torch

from extract.errors import WeightsError
from extract.expert import Resources
from extract.experts.musicnet import (
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    Musicnet,
    MusicnetModel,
    MusicnetOptions,
)
from extract.nets.music_fcn import MusicFcn
from extract.types import AudioBlock, Item, MediaInfo
from extract.weights.checkpoints import load_state_dict

MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, False, True)
RATE = 16_000


def items_of(samples: np.ndarray, options: MusicnetOptions | None = None) -> list[Item]:
    tap = Musicnet(options).tap(MEDIA)
    return [*tap.audio(AudioBlock(samples, RATE, 0.0)), *tap.close()]


def embeddings(model: Any, items: list[Item]) -> np.ndarray:
    return np.stack([rows[0]["embedding"] for rows in model(items)])


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(2).uniform(-1, 1, round(seconds * RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def checkpoint(parity: Any) -> Path:
    path: Path = parity.checkpoint("choi_fcn", "msd/fcn/best_model.pth")
    return path


@pytest.fixture(scope="module")
def random_model() -> Any:
    return Musicnet().load(Resources(random_seed=0))


def test_a_published_file_gives_the_reference(checkpoint: Path, parity: Any) -> None:
    model: Any = Musicnet().load(Resources(weights={"model": checkpoint}))
    reference = parity.reference("choi_fcn")
    for index, (length, seed) in enumerate(reference["waves"].tolist()):
        samples = parity.inputs.waveform(length, RATE, seed)
        (item,) = items_of(samples, MusicnetOptions(window_seconds=length / RATE))
        with torch.inference_mode():
            waves = torch.from_numpy(samples)[None]
            logmel = model.network.logmel(waves)[0, :, ::40]
            tags = model.network(waves)[1][0]
        stages = {"logmel_db": logmel.numpy(), "features": embeddings(model, [item])[0], "tags": tags.numpy()}
        for stage, mine in stages.items():
            key = f"wav{index}_{stage}"
            parity.assert_close("choi_fcn", key, mine, reference[key])


def test_the_state_dict_has_the_published_names_and_shapes(parity: Any) -> None:
    published = parity.rule.load_table(parity.folder / "shapes" / "choi_fcn.json")["keys"]
    assert {k: list(v.shape) for k, v in MusicFcn().state_dict().items()} == published


def test_window_and_mel_bank_are_those_of_the_file(checkpoint: Path, tmp_path: Path) -> None:
    state = load_state_dict(checkpoint)
    state["spec.mel_scale.fb"] = 2 * state["spec.mel_scale.fb"]
    state["spec.spectrogram.window"] = torch.ones(512)
    path = tmp_path / "best_model.pth"
    torch.save(state, path)
    network = Musicnet().load(Resources(weights={"model": path})).network  # type: ignore[attr-defined]
    assert torch.equal(network.spec.mel_scale.fb, state["spec.mel_scale.fb"])
    assert torch.equal(network.spec.spectrogram.window, torch.ones(512))


def test_the_front_end_is_librosas(random_model: Any) -> None:
    """Of librosa the filters and the decibels: its frames would be compiled first, for a quarter minute."""
    samples = noise(2.0)
    padded = np.pad(samples.astype(np.float64), 256, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[::256]
    power = np.abs(np.fft.rfft(frames * scipy.signal.get_window("hann", 512))) ** 2
    mel = librosa.filters.mel(sr=RATE, n_fft=512, n_mels=96, htk=True, norm=None) @ power.T
    with torch.inference_mode():
        mine = random_model.network.logmel(torch.from_numpy(samples)[None])[0].numpy()
    np.testing.assert_allclose(mine, librosa.power_to_db(mel, amin=1e-10, top_db=None), atol=1e-3)


def test_a_window_gives_the_same_bits_whatever_the_batch(random_model: Any) -> None:
    items = items_of(noise(70.0))
    assert random_model([]) == []
    six = embeddings(random_model, items)
    np.testing.assert_array_equal(embeddings(random_model, items[::-1]), six[::-1])
    np.testing.assert_array_equal(embeddings(random_model, items[2:3]), six[2:3])
    assert six.shape == (6, 64) and np.isfinite(six).all() and np.ptp(six, axis=0).max() > 0


def test_silence_and_a_few_samples_are_finite(random_model: Any) -> None:
    items = items_of(np.zeros(5 * RATE, np.float32)) + items_of(np.ones(3, np.float32))
    assert len(items) == 2 and np.isfinite(embeddings(random_model, items)).all()


def test_half_precision_stays_within_two_percent(random_model: Any) -> None:
    items = items_of(noise(22.0))
    whole = embeddings(random_model, items)
    half = embeddings(MusicnetModel(deepcopy(random_model.network), Resources(precision="bfloat16")), items)
    assert 0 < np.linalg.norm(half - whole) / np.linalg.norm(whole) < 0.02


def test_the_limits_are_those_of_the_poolings(random_model: Any) -> None:
    def features(seconds: float, more_samples: int = 0) -> torch.Tensor:
        with torch.inference_mode():
            logmel = random_model.network.logmel(torch.zeros(1, round(seconds * RATE) + more_samples))
            return torch.as_tensor(random_model.network.features(logmel))

    assert features(SHORTEST_SECONDS).shape == features(LONGEST_SECONDS).shape == (1, 64)
    assert features(LONGEST_SECONDS, 512).shape == (1, 128)  # two cells
    with pytest.raises(RuntimeError):
        features(SHORTEST_SECONDS, -256)


def test_other_files_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "best_model.pth"
    state = load_state_dict(checkpoint)
    torch.save(state | {"spec.mel_scale.fb": torch.zeros(257, 128)}, path)  # that of another of their models
    with pytest.raises(WeightsError, match=r"FCN; 1 of another shape: spec.mel_scale.fb is \(257, 128\)"):
        Musicnet().load(Resources(weights={"model": path}))
    torch.save(
        {k: v for k, v in state.items() if k.startswith("spec")} | {"fc1.weight": torch.zeros(1)}, path
    )
    with pytest.raises(WeightsError, match=r"looks like a music tagger of Won.*1 unknown: fc1.weight"):
        Musicnet().load(Resources(weights={"model": path}))
    path.write_bytes(checkpoint.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="truncated"):
        Musicnet().load(Resources(weights={"model": path}))


def test_each_corpus_has_its_file() -> None:
    for corpus in ("msd", "mtat", "jamendo"):
        (file,) = Musicnet(MusicnetOptions(corpus)).weights()
        assert file.name == f"{corpus}/fcn/best_model.pth" and file.url.endswith(file.name)
