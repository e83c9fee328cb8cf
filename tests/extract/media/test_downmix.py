from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from extract.media.downmix import mono

HALF = 0.5**0.5  # of power: the weight of what is panned to one side


@pytest.mark.parametrize(
    ("format", "array", "expected"),
    [
        ("s16", np.array([[-32768, 0, 16384, 16384]], np.int16), [-0.5, 0.5]),
        ("s16p", np.array([[-32768, 16384], [0, 16384]], np.int16), [-0.5, 0.5]),
        ("s32", np.array([[-(2**31), 0, 2**30, 2**30]], np.int32), [-0.5, 0.5]),
        ("u8", np.array([[0, 128, 192, 192]], np.uint8), [-0.5, 0.5]),
        ("flt", np.array([[-1, 0, 0.5, 0.5]], np.float32), [-0.5, 0.5]),
        ("dblp", np.array([[-1, 0.5], [0, 0.5]], np.float64), [-0.5, 0.5]),
    ],
)
def test_mono_is_the_mean_of_the_channels(format: str, array: np.ndarray, expected: list[float]) -> None:
    frame = av.AudioFrame.from_ndarray(array, format, "stereo")
    samples = mono(frame)
    assert samples.dtype == np.float32
    assert samples.tolist() == expected
    assert np.array_equal(mono(frame, "ffmpeg"), samples)  # FFmpeg's weights of two channels are halves too


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, -3e38])
@pytest.mark.parametrize("format", ["fltp", "dblp"])
@pytest.mark.parametrize("downmix", ["mean", "ffmpeg"])
def test_a_damaged_channel_leaves_the_others_to_be_heard(bad: float, format: str, downmix: str) -> None:
    good = np.linspace(-0.8, 0.8, 64)
    array = np.stack([good, np.full(64, bad)]).astype(np.float32 if format == "fltp" else np.float64)
    samples = mono(av.AudioFrame.from_ndarray(array, format, "stereo"), downmix)  # type: ignore[arg-type]
    np.testing.assert_allclose(samples, good / 2, atol=1e-6)


def test_what_is_too_loud_becomes_full_scale() -> None:
    array = np.array([[3.0, -7.0, 0.25]], np.float32)
    assert mono(av.AudioFrame.from_ndarray(array, "fltp", "mono")).tolist() == [1.0, -1.0, 0.25]


@pytest.mark.parametrize(
    ("layout", "weights"),  # before they are divided by their sum; from FFmpeg's manual of its resampler
    [
        ("3.0", [HALF, HALF, 1]),
        ("2.1", [HALF, HALF, 0]),
        ("quad", [HALF, HALF, 0.5, 0.5]),
        ("5.0", [HALF, HALF, 1, 0.5, 0.5]),
        ("5.1", [HALF, HALF, 1, 0, 0.5, 0.5]),
        ("7.1", [HALF, HALF, 1, 0, 0.5, 0.5, 0.5, 0.5]),
    ],
)
def test_ffmpegs_downmix_leaves_low_frequencies_out(layout: str, weights: list[float]) -> None:
    impulses = np.eye(len(weights), dtype=np.float32).reshape(1, -1)
    samples = mono(av.AudioFrame.from_ndarray(impulses, "flt", layout), "ffmpeg")
    np.testing.assert_allclose(samples, np.array(weights) / sum(weights), atol=1e-6)
    assert mono(av.AudioFrame.from_ndarray(impulses, "flt", layout)).tolist() == pytest.approx(
        [1 / len(weights)] * len(weights)
    )


def test_ffmpegs_downmix_is_what_its_own_resampler_gives() -> None:
    """As `ffmpeg -ac 1` in 16 bits, where its coefficients are integers: to a few units of the last place."""
    noise = np.random.default_rng(3).integers(-20_000, 20_000, (6, 4800)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(noise, "s16p", "5.1")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
    resampler = av.AudioResampler("s16", "mono", 48_000)
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    theirs = np.concatenate([part.to_ndarray()[0] for part in parts]) / 32768
    np.testing.assert_allclose(mono(frame, "ffmpeg"), theirs, atol=4 / 32768)


def test_eight_planes_are_read(tmp_path: Path) -> None:
    """As AAC and DTS give 7.1; PyAV itself reads beyond the end of such frames."""
    path = tmp_path / "eight.mp4"
    noise = np.random.default_rng(4).uniform(-0.5, 0.5, (1, 8 * 1024)).astype(np.float32)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("aac", rate=48_000, layout="7.1")
        frame = av.AudioFrame.from_ndarray(noise, "flt", "7.1")
        frame.sample_rate, frame.pts = 48_000, 0
        (planar,) = av.AudioResampler("fltp", "7.1", 48_000).resample(frame)
        out.mux([*stream.encode(planar), *stream.encode(None)])
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    assert frames[0].format.is_planar and frames[0].layout.nb_channels == 8
    packed = [av.AudioResampler("flt", "7.1", 48_000).resample(frame)[0] for frame in frames]
    for frame, same in zip(frames, packed, strict=True):
        np.testing.assert_allclose(mono(frame), same.to_ndarray().reshape(-1, 8).mean(axis=1), atol=1e-6)
