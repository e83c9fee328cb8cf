"""PANNs as an expert: windows on the clock, rows, weights in the published container."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from extract.errors import WeightsError
from extract.expert import Resources
from extract.experts._classes import labels
from extract.experts.panns import Panns, PannsOptions
from extract.nets import cnn14
from extract.types import AudioBlock, Item, MediaInfo

MEDIA = MediaInfo("x.mp4", 1, "mp4", 1.0, False, True)
RATE = 32_000


def windows_of(seconds: float, *, start: float = 0.0, options: PannsOptions | None = None) -> list[Item]:
    samples = np.random.default_rng(3).uniform(-1, 1, round(seconds * RATE)).astype(np.float32)
    tap = Panns(options).tap(MEDIA)
    items: list[Item] = []
    for at in range(0, len(samples), 7_000):
        items += tap.audio(AudioBlock(samples[at : at + 7_000], RATE, start + at / RATE))
    return items + list(tap.close())


def embeddings(model: Any, items: list[Item]) -> np.ndarray:
    return np.stack([rows[0]["embedding"] for rows in model(items)])


@pytest.mark.parametrize(
    ("name", "table", "file"),
    [
        ("cnn14", "panns_cnn14", "Cnn14_mAP=0.431.pth"),
    ],
)
def test_a_published_file_gives_the_reference_embedding(
    name: Any, table: str, file: str, parity: Any
) -> None:
    path = parity.checkpoint(table, file)
    reference = parity.reference(table)
    expert = Panns(PannsOptions(model=name))
    assert expert.weights()[0].name == file
    model = Panns(PannsOptions(model=name, classes=100)).load(Resources(weights={"model": path}))
    for index, (length, seed) in enumerate(reference["waves"].tolist()):
        tap = Panns(PannsOptions(model=name, window_seconds=length / RATE)).tap(MEDIA)
        block = AudioBlock(parity.inputs.waveform(length, RATE, seed), RATE, 0.0)
        ((row,),) = model([*tap.audio(block), *tap.close()])
        key = f"wav{index}_embedding"
        parity.assert_close(table, key, row["embedding"], reference[key])
        assert row["embedding"].shape == expert.tables()["panns"].embedding.shape  # type: ignore[union-attr]
        tags = reference[f"wav{index}_clipwise"]
        places = [labels("audioset").index(named) for named in row["classes"]]
        limit = parity.tolerances[table][f"wav{index}_clipwise"]
        np.testing.assert_allclose(row["class_scores"], tags[places], rtol=0, atol=limit)
        np.testing.assert_allclose(row["class_scores"], np.sort(tags)[::-1][:100], rtol=0, atol=limit)


def test_the_other_variants_file_is_refused_by_shape(parity: Any) -> None:
    path = parity.checkpoint("panns_cnn14_emb128", "Cnn14_emb128_mAP=0.412.pth")
    with pytest.raises(WeightsError, match=r"PANNs cnn14; 3 of another shape: fc1.weight is \(128, 2048\)"):
        Panns().load(Resources(weights={"model": path}))


def test_windows_overlap_and_the_last_one_ends_with_the_sound() -> None:
    items = windows_of(7.0, start=2.5)
    spans = [(round(i.start_seconds, 6), round(i.end_seconds, 6)) for i in items]
    assert spans == [(2.5, 5.5), (4.0, 7.0), (5.5, 8.5), (7.0, 9.5)]
    assert all(i.arrays["samples"].shape == (96_000,) for i in items)
    assert not items[-1].arrays["samples"][round(2.5 * RATE) :].any()


def test_sound_shorter_than_the_network_needs_still_has_its_row() -> None:
    (item,) = windows_of(0.1)
    assert (item.start_seconds, item.end_seconds) == (0.0, 0.1)
    model = Panns(PannsOptions(model="cnn14_emb128")).load(Resources(random_seed=1))
    assert np.isfinite(embeddings(model, [item])).all()


def test_no_sound_gives_no_window() -> None:
    assert windows_of(0.0) == []


def test_the_tap_asks_for_the_networks_rate() -> None:
    assert Panns().streams().audio_rate == cnn14.SAMPLE_RATE


def test_a_window_gives_the_same_bits_whatever_the_batch() -> None:
    model = Panns(PannsOptions(model="cnn14_emb128")).load(Resources(random_seed=0))
    items = windows_of(5.0, options=PannsOptions(window_seconds=1.0, hop_seconds=0.5))[:9]
    nine = embeddings(model, items)
    np.testing.assert_array_equal(embeddings(model, items[:3]), nine[:3])
    np.testing.assert_array_equal(embeddings(model, items[3:4]), nine[3:4])  # first of its batch, not fourth
    assert np.isfinite(nine).all() and np.ptp(nine, axis=0).max() > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "cnn6"}, "'cnn6'.*cnn14_emb128"),
        ({"window_seconds": 0.3}, "0.3; allowed: 0.31"),
        ({"hop_seconds": 4.0}, "4.0.*window_seconds"),
        ({"hop_seconds": 0.0}, "0.0.*0.01"),
    ],
)
def test_options_say_what_is_allowed(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PannsOptions(**options)
