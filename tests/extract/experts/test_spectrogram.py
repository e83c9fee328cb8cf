"""The CTT-MMC-S spectrogram against librosa."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from extract.errors import UsageError
from extract.experts.spectrogram import SAMPLE_RATE, SHAPE, WINDOW_SAMPLES
from extract.registry import make_expert
from extract.types import AudioBlock, Item, MediaInfo

MEDIA = MediaInfo("x.mp4", 0, "mp4", None, has_video=False, has_audio=True)


def spectrogram_items(
    samples: NDArray[np.float32],
    *,
    options: Mapping[str, str] | None = None,
    block: int = 4096,
    start_seconds: float = 0.0,
) -> list[Item]:
    tap = make_expert("spectrogram", options).tap(MEDIA)
    items: list[Item] = []
    for at in range(0, len(samples), block):
        seconds = start_seconds + at / SAMPLE_RATE
        items += tap.audio(AudioBlock(samples[at : at + block], SAMPLE_RATE, seconds))
    return [*items, *tap.close()]


@pytest.fixture(scope="module")
def noise() -> NDArray[np.float32]:
    rng = np.random.default_rng(5)
    return rng.normal(0, 0.1, 2 * WINDOW_SAMPLES + 50_000).astype(np.float32)


PADDINGS: list[tuple[str, Literal["constant", "reflect"]]] = [("zero", "constant"), ("reflect", "reflect")]


@pytest.mark.parametrize(("padding", "mode"), PADDINGS)
def test_equals_librosa(
    noise: NDArray[np.float32], padding: str, mode: Literal["constant", "reflect"]
) -> None:
    items = spectrogram_items(noise, options={"padding": padding})
    padded = np.pad(noise, (0, 3 * WINDOW_SAMPLES - len(noise))).reshape(3, -1)
    for item, window in zip(items, padded, strict=True):
        expected = np.abs(librosa.stft(window, n_fft=1024, hop_length=1024, pad_mode=mode)).T
        assert item.arrays["embedding"].shape == SHAPE == (130, 513)
        np.testing.assert_allclose(item.arrays["embedding"], expected, rtol=1e-5, atol=1e-5)


def test_decibels_equal_librosa_without_its_ceiling(noise: NDArray[np.float32]) -> None:
    noise = noise[:WINDOW_SAMPLES].copy()
    noise[: WINDOW_SAMPLES // 2] = 0
    item = spectrogram_items(noise, options={"scale": "db"})[0]
    amplitude = np.abs(librosa.stft(noise, n_fft=1024, hop_length=1024)).T
    expected = librosa.amplitude_to_db(amplitude, ref=1.0, amin=1e-5, top_db=None)
    np.testing.assert_allclose(item.arrays["embedding"], expected, atol=1e-2)
    assert item.arrays["embedding"].min() == -100


def test_windows_follow_each_other_and_the_last_one_ends_with_the_sound(noise: NDArray[np.float32]) -> None:
    items = spectrogram_items(noise, start_seconds=100.0)
    assert [i.start_seconds for i in items] == pytest.approx([100, 103, 106])
    assert [i.end_seconds for i in items] == pytest.approx([103, 106, 106 + 50_000 / 44_100])


def test_blocks_do_not_matter(noise: NDArray[np.float32]) -> None:
    small = spectrogram_items(noise, block=777)
    large = spectrogram_items(noise, block=200_000)
    assert len(small) == len(large)
    for one, other in zip(small, large, strict=True):
        np.testing.assert_array_equal(one.arrays["embedding"], other.arrays["embedding"])


def test_float16_holds_the_whole_range() -> None:
    loudest = spectrogram_items(np.ones(WINDOW_SAMPLES, np.float32))[0].arrays["embedding"]
    assert loudest.max() == pytest.approx(512, rel=1e-5)
    step = np.float32(2**-16)  # half a step of 16-bit sound
    quiet = step * np.random.default_rng(0).choice([-1, 1], WINDOW_SAMPLES).astype(np.float32)
    values = spectrogram_items(quiet.astype(np.float32))[0].arrays["embedding"]
    error = np.abs(values.astype(np.float16).astype(np.float32) - values)
    assert error.max() < 1e-3 * values.mean()


def test_silence_is_zero_and_finite() -> None:
    silence = np.zeros(WINDOW_SAMPLES, np.float32)
    assert not spectrogram_items(silence)[0].arrays["embedding"].any()
    assert (spectrogram_items(silence, options={"scale": "db"})[0].arrays["embedding"] == -100).all()


def test_no_sound_no_rows() -> None:
    assert spectrogram_items(np.zeros(0, np.float32)) == []


@pytest.mark.parametrize("option", ["scale", "padding"])
def test_unknown_choices_are_refused(option: str) -> None:
    with pytest.raises(UsageError, match=f"{option}.*'mel'.*allowed"):
        make_expert("spectrogram", {option: "mel"})
