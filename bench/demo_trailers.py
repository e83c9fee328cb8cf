"""Small rendered trailers whose truth is known: the films of ``make demo``, of the tutorial and of the tests.

Pictures are textures that pan, titles are real words, sound is chirps or a tune; every cut, dissolve, fade
and title is known to the frame. The same trailer always gives the same pictures and samples.
"""

from __future__ import annotations

import colorsys
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Texture = Literal["black", "bricks", "clouds", "discs", "waves"]
Transition = Literal["cut", "dissolve", "fade"]
Music = Literal["chirps", "tune"]
Pixels = NDArray[np.uint8]

WIDTH, HEIGHT = 640, 360
PAN = 120  # pixels by which a canvas is larger than the picture that pans over it
TRANSITION_SECONDS = 0.75
SAMPLE_RATE = 48_000
NOTE_SECONDS = 0.25


@dataclass(frozen=True)
class Shot:
    """One shot: a texture that pans, optionally with lines of text over it.

    ``begins`` is how the shot before gives way; a dissolve or fade takes the first
    ``TRANSITION_SECONDS`` of this shot.
    """

    seconds: float
    texture: Texture
    lines: tuple[str, ...] = ()
    begins: Transition = "cut"

    def __post_init__(self) -> None:
        if self.seconds < 2 * TRANSITION_SECONDS:
            raise ValueError(f"a shot lasts at least {2 * TRANSITION_SECONDS} seconds: {self.seconds = }")


@dataclass(frozen=True)
class Trailer:
    """Shots and their sound; ``light`` is the brightness of the pictures, 1 at most. Letters stay white."""

    name: str
    shots: tuple[Shot, ...]
    fps: int = 24
    sound: bool = True
    music: Music = "chirps"
    light: float = 1.0

    def __post_init__(self) -> None:
        if not self.shots or self.shots[0].begins != "cut":
            raise ValueError(f"a trailer has shots, and the first begins with a cut: {self.name!r}")

    def boundaries(self) -> list[int]:
        """First frame of every shot, and the number of frames; (shots + 1,)."""
        seconds = np.cumsum([0.0, *(shot.seconds for shot in self.shots)])
        return [round(s * self.fps) for s in seconds]


DEMO = (
    Trailer(
        "the quiet harbour",
        (
            Shot(2.5, "clouds"),
            Shot(2.0, "black", ("THIS SUMMER",)),
            Shot(2.0, "bricks"),
            Shot(2.0, "waves"),
            Shot(2.0, "discs", begins="dissolve"),
            Shot(2.5, "black", ("THE QUIET", "HARBOUR")),
            Shot(2.0, "clouds", ("ONLY IN CINEMAS",)),
        ),
    ),
    Trailer(
        "signals/the last signal",
        (
            Shot(2.0, "black", ("A STORM IS COMING",)),
            Shot(2.0, "waves"),
            Shot(2.0, "discs"),
            Shot(2.5, "bricks", begins="fade"),
            Shot(2.5, "black", ("THE LAST SIGNAL", "COMING SOON")),
        ),
        fps=25,
    ),
    Trailer(
        "silent/white mountain",
        (
            Shot(2.5, "clouds"),
            Shot(2.0, "bricks"),
            Shot(2.0, "discs"),
            Shot(2.5, "black", ("WHITE MOUNTAIN",)),
        ),
        fps=30,
        sound=False,
    ),
)


def render_trailer(path: Path, trailer: Trailer) -> dict[str, Any]:
    """Write ``trailer`` as H.264 and AAC in MP4, 640x360, and return its truth.

    The truth is ready for JSON: ``cuts`` (``frame``, ``seconds``: the first frame of the new shot),
    ``gradual`` (``kind`` and a half-open span) and ``titles`` (``lines`` and a half-open span), in
    seconds from the first frame.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=trailer.fps)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.time_base = Fraction(1, trailer.fps)
        video.options = {"preset": "veryfast", "crf": "20", "flags": "+bitexact"}
        video.thread_count = 1  # the same bytes on every machine
        # A container lists its streams before its first packet.
        audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono") if trailer.sound else None
        for index, pixels in enumerate(pictures(trailer)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, trailer.fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            samples = soundtrack(trailer)
            for start in range(0, len(samples), 1024):
                block = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], "fltp", "mono")
                block.sample_rate, block.pts = SAMPLE_RATE, start
                block.time_base = Fraction(1, SAMPLE_RATE)
                container.mux(audio.encode(block))
            container.mux(audio.encode(None))
    return truth(trailer)


def truth(trailer: Trailer) -> dict[str, Any]:
    """What :func:`render_trailer` shows and when, see there."""
    bounds = trailer.boundaries()
    spans = list(zip(trailer.shots, bounds[:-1], bounds[1:], strict=True))
    transition = round(TRANSITION_SECONDS * trailer.fps)

    def span(start: int, end: int) -> dict[str, float]:
        return {"start_seconds": start / trailer.fps, "end_seconds": end / trailer.fps}

    return {
        "name": trailer.name,
        "fps": trailer.fps,
        "frames": bounds[-1],
        "width": WIDTH,
        "height": HEIGHT,
        "sample_rate": SAMPLE_RATE if trailer.sound else None,
        "cuts": [
            {"frame": start, "seconds": start / trailer.fps}
            for shot, start, _ in spans[1:]
            if shot.begins == "cut"
        ],
        "gradual": [
            {"kind": shot.begins, **span(start, start + transition)}
            for shot, start, _ in spans
            if shot.begins != "cut"
        ],
        "titles": [
            {"lines": list(shot.lines), **span(start, end)} for shot, start, end in spans if shot.lines
        ],
        "shots": [asdict(shot) for shot in trailer.shots],
    }


def pictures(trailer: Trailer) -> Iterator[Pixels]:
    """Every frame in order, uint8 (HEIGHT, WIDTH, 3)."""
    bounds = trailer.boundaries()
    transition = round(TRANSITION_SECONDS * trailer.fps)
    before: _Pan | None = None
    for number, shot in enumerate(trailer.shots):
        frames = bounds[number + 1] - bounds[number]
        pan = _Pan(shot, seed=_seed(trailer.name) + number, frames=frames, light=trailer.light)
        for i in range(pan.frames):
            picture = pan.frame(i)
            if before is not None and shot.begins != "cut" and i < transition:
                share = (i + 1) / (transition + 1)
                picture = _blend(before.frame(before.frames + i), picture, share, shot.begins)
            yield picture
        before = pan


def soundtrack(trailer: Trailer) -> NDArray[np.float32]:
    """float32 (samples,) in [-1, 1]: one rising chirp for each shot, an octave each, or a tune throughout."""
    if trailer.music == "tune":
        return _tune(round(trailer.boundaries()[-1] * SAMPLE_RATE / trailer.fps), _seed(trailer.name))
    parts = []
    bounds = [round(b * SAMPLE_RATE / trailer.fps) for b in trailer.boundaries()]
    for number, count in enumerate(np.diff(bounds)):
        position = np.arange(count) / count
        low_hz = 110.0 * 2 ** (number % 4)
        cycles = low_hz * (count / SAMPLE_RATE) * (position + position**2 / 2)
        parts.append(0.5 * np.sin(2 * np.pi * cycles) * np.sin(np.pi * position))
    return np.concatenate(parts).astype(np.float32)


def _tune(samples: int, seed: int) -> NDArray[np.float32]:
    """Notes of a pentatonic scale, each with its octave, ``NOTE_SECONDS`` long."""
    length = round(NOTE_SECONDS * SAMPLE_RATE)
    count = -(-samples // length)
    semitones = np.random.default_rng(seed).choice([0, 2, 4, 7, 9, 12], count)
    cycles = np.outer(440 * 2 ** (semitones / 12), np.arange(length) / SAMPLE_RATE)
    notes = np.sin(2 * np.pi * cycles) + 0.5 * np.sin(4 * np.pi * cycles)
    fading = np.sin(np.pi * np.arange(length) / length) / 3
    return (notes * fading).ravel()[:samples].astype(np.float32)


def render_demo(folder: Path) -> None:
    """The three trailers in ``folder/videos``, a file that is no video, and truths in ``folder/truth``."""
    for trailer in DEMO:
        known = render_trailer(folder / "videos" / f"{trailer.name}.mp4", trailer)
        note = folder / "truth" / f"{trailer.name}.json"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    broken = folder / "videos" / "not a video.mp4"
    broken.write_text("A text that someone named .mp4: it must cost this file only.\n", encoding="utf-8")


class _Pan:
    """A picture that pans over a larger canvas, with text that stands still."""

    def __init__(self, shot: Shot, *, seed: int, frames: int, light: float) -> None:
        random = np.random.default_rng(seed)
        self.frames = frames
        canvas = _canvas(shot.texture, random)
        self.canvas = canvas if light == 1 else np.rint(light * canvas).astype(np.uint8)
        self.ends = random.integers(0, PAN, size=(2, 2))
        self.text = _text_mask(shot.lines)

    def frame(self, index: int) -> Pixels:
        share = min(index / (2 * self.frames), 1.0)  # half the way: a pan, not a blur
        top, left = np.rint(self.ends[0] + share * (self.ends[1] - self.ends[0])).astype(int)
        picture = self.canvas[top : top + HEIGHT, left : left + WIDTH]
        if self.text is None:
            return np.ascontiguousarray(picture)
        return np.maximum(picture, self.text[..., None])


def _blend(old: Pixels, new: Pixels, share: float, kind: Transition) -> Pixels:
    """``share`` of the way from ``old`` to ``new``, directly or through black."""
    leave, enter = 1 - share, share
    if kind == "fade":
        leave, enter = max(1 - 2 * share, 0.0), max(2 * share - 1, 0.0)
    mixed = leave * old.astype(np.float32) + enter * new.astype(np.float32)
    return np.rint(mixed).astype(np.uint8)


def _seed(name: str) -> int:
    """A number from a name that is the same in every process, unlike ``hash``."""
    return int.from_bytes(name.encode()[-4:], "big")


def _canvas(texture: Texture, random: np.random.Generator) -> Pixels:
    """uint8 (HEIGHT + PAN, WIDTH + PAN, 3) in two colours of opposite brightness."""
    height, width = HEIGHT + PAN, WIDTH + PAN
    if texture == "black":
        return np.full((height, width, 3), 8, np.uint8)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    if texture == "waves":
        angle = random.uniform(0, np.pi)
        level = 0.5 + 0.5 * np.sin((x * np.cos(angle) + y * np.sin(angle)) / random.uniform(8, 20))
    elif texture == "bricks":
        size = int(random.integers(28, 60))
        rows = y // size
        level = ((x + size * (rows % 2)) // (2 * size) + rows) % 3 / 2
    elif texture == "clouds":
        coarse = Image.fromarray(random.uniform(0, 1, (5, 7)).astype(np.float32))
        level = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)
    else:
        image = Image.new("F", (width, height), 0.15)
        draw = ImageDraw.Draw(image)
        for _ in range(80):
            cx, cy, radius = random.uniform(0, width), random.uniform(0, height), random.uniform(15, 60)
            draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=random.uniform(0.4, 1))
        level = np.asarray(image)
    hue = random.uniform(0, 1)
    dark = np.array(colorsys.hsv_to_rgb(hue, 0.8, 0.2))
    light = np.array(colorsys.hsv_to_rgb(hue + random.uniform(0.1, 0.4), 0.5, 0.75))
    pixels: Pixels = np.rint(255 * (dark + level[..., None] * (light - dark))).astype(np.uint8)
    return pixels


def _text_mask(lines: tuple[str, ...]) -> Pixels | None:
    """White letters in the middle, uint8 (HEIGHT, WIDTH); None without text."""
    if not lines:
        return None
    image = Image.new("L", (WIDTH, HEIGHT), 0)
    ImageDraw.Draw(image).multiline_text(
        (WIDTH / 2, HEIGHT / 2),
        "\n".join(lines).replace(" ", "  "),  # titles are set wide
        fill=255,
        font=ImageFont.load_default(size=48),
        anchor="mm",
        align="center",
        spacing=16,
        stroke_width=1,
    )
    return np.asarray(image)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bench.demo_trailers FOLDER")
    render_demo(Path(sys.argv[1]))
