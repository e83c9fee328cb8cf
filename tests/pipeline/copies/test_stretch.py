"""Stretches of a clip whose every picture is known: which of them are there, and when."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from extract.errors import MediaError
from pipeline.copies.stretch import copy_stretch, encode_stretch
from tests.fixtures.clips import FPS, moving_picture, write_clip

PICTURES = [*range(0, 96), *range(100, 130, 3)]  # of changing rate at its end
SIZE = (66, 48)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write_clip(path, pts=PICTURES, size=SIZE, gop=12, audio_seconds=6)


def times_of(path: Path, wanted: list[int]) -> list[float]:
    """When each picture is shown; they are those at the places ``wanted``, and not their neighbours."""
    times = []
    with av.open(str(path)) as clip:
        for place, frame in zip(wanted, clip.decode(video=0), strict=False):
            number = PICTURES.index(place)
            made = np.stack([moving_picture(number + by, *SIZE) for by in range(-4, 5)]).astype(np.int16)
            away = np.abs(made - frame.to_ndarray(format="rgb24")).mean((1, 2, 3))
            assert away.argmin() == 4, f"not picture {number}, {away}"
            assert frame.time is not None
            times.append(frame.time)
    return times


def count_of(path: Path) -> int:
    with av.open(str(path)) as clip:
        return sum(1 for _ in clip.decode(video=0))


def sound_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as clip:
        return np.concatenate([frame.to_ndarray()[0] for frame in clip.decode(audio=0)])


@pytest.mark.parametrize(("start", "end"), [(1.25, 2.0), (0.0, 0.5), (3.9, 5.2)])
def test_encoded_stretches_are_exact(film: Path, tmp_path: Path, start: float, end: float) -> None:
    encode_stretch(film, tmp_path / "cut", start, end)
    wanted = [number for number in PICTURES if start <= number / FPS < end]
    times = times_of(tmp_path / "cut", wanted)
    assert len(times) == len(wanted) == count_of(tmp_path / "cut")
    np.testing.assert_allclose(times, np.array(wanted) / FPS - start, atol=1e-3)
    sound = sound_of(tmp_path / "cut")
    assert len(sound) == pytest.approx((end - start) * 48_000, abs=1024)  # AAC has frames of 1024
    assert np.abs(sound[4096:]).max() > 0.1


@pytest.mark.parametrize(("start", "first"), [(1.25, 24), (1.0, 24), (0.99, 12), (3.9, 84)])
def test_copied_stretches_begin_at_the_keyframe_before(
    film: Path, tmp_path: Path, start: float, first: int
) -> None:
    assert copy_stretch(film, tmp_path / "cut", start, start + 0.5) == pytest.approx(first / FPS)
    wanted = PICTURES[PICTURES.index(first) :]
    times = times_of(tmp_path / "cut", wanted)
    numbers = wanted[: count_of(tmp_path / "cut")]
    assert 0 <= numbers[-1] / FPS - (start + 0.5 - 1 / FPS) < 0.35
    # Matroska counts milliseconds
    np.testing.assert_allclose(np.diff(times), np.diff(numbers) / FPS, atol=0.0011)
    assert len(sound_of(tmp_path / "cut")) == pytest.approx((start + 0.5 - first / FPS) * 44_100, abs=3000)


@pytest.mark.parametrize("cut", [copy_stretch, encode_stretch])
def test_films_without_a_picture_are_refused(tmp_path: Path, cut: object) -> None:
    sound = write_clip(tmp_path / "a.mkv", codec=None, audio_seconds=2)
    with pytest.raises(MediaError, match="has no picture"):
        cut(sound, tmp_path / "cut", 0.0, 1.0)  # type: ignore[operator]
