"""Tiny clips made on the spot, so that the media tests need no files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

MakeClip = Callable[..., Path]
FPS = 24
RATE = 44100


def moving_picture(index: int, width: int, height: int) -> np.ndarray:
    """A different picture for every index, smooth enough for any codec."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin((x * (c + 1) + y * 2 + index * 14) / 25) for c in range(3)]
    return (np.stack(waves, axis=-1) * 100 + 128).astype(np.uint8)


def tone(samples: int, rate: int) -> np.ndarray:
    """A 440 Hz tone, int16 (1, samples)."""
    return (np.sin(2 * np.pi * 440 * np.arange(samples) / rate) * 12000).astype(np.int16)[None]


def write_clip(
    path: Path,
    *,
    codec: str | None = "libx264",
    options: dict[str, str] | None = None,
    pts: Sequence[int] = tuple(range(48)),
    size: tuple[int, int] = (64, 48),
    gop: int = 12,
    audio_seconds: float = 0.0,
    aspect: Fraction | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """A clip of 24 fps with one picture at each of ``pts`` (in frames), and a tone."""
    width, height = size
    with av.open(str(path), "w", options=container_options or {}) as out:
        video: Any = None
        if codec is not None:
            video = out.add_stream(codec, rate=FPS, options=options or {})
            video.width, video.height, video.pix_fmt, video.gop_size = width, height, "yuv420p", gop
            video.codec_context.time_base = Fraction(1, FPS)
            if aspect is not None:
                video.codec_context.sample_aspect_ratio = aspect
        if audio_seconds:
            audio: Any = out.add_stream("flac" if path.suffix == ".mkv" else "aac", rate=RATE)
            audio.codec_context.layout = "mono"
            audio.codec_context.format = "s16" if path.suffix == ".mkv" else "fltp"
            frame = av.AudioFrame.from_ndarray(tone(round(audio_seconds * RATE), RATE), "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            fit = av.AudioResampler(audio.codec_context.format.name, "mono", RATE, frame_size=1024)
            for part in [*fit.resample(frame), *fit.resample(None)]:
                out.mux(audio.encode(part))
            out.mux(audio.encode(None))
        if video is not None:
            for index, when in enumerate(pts):
                picture = av.VideoFrame.from_ndarray(moving_picture(index, width, height), "rgb24")
                picture.pts, picture.time_base = when, Fraction(1, FPS)
                out.mux(video.encode(picture))
            out.mux(video.encode(None))
    return path


def turn(path: Path, matrix: Sequence[int]) -> Path:
    """Write a display matrix (nine 16.16 and 2.30 fixed-point numbers) into an MP4's track header."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in matrix)
    path.write_bytes(data)
    return path


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """``make_clip("name.mp4", **write_clip's arguments) -> Path``."""

    def make(name: str, **arguments: Any) -> Path:
        return write_clip(tmp_path / name, **arguments)

    return make


@pytest.fixture
def turn_clip() -> Callable[[Path, Sequence[int]], Path]:
    return turn


@pytest.fixture
def clip(make_clip: MakeClip) -> Path:
    """Two seconds of H.264 with a tone."""
    return make_clip("clip.mp4", audio_seconds=2.0)
