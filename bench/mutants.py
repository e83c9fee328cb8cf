"""Damaged copies of small files of many containers, and a run over them: nothing hangs, nothing differs.

    python -m bench.mutants --mutants 600 --seconds 1200

Every mutant is read with ``scenes`` alone, with ``scenes`` and ``lowlevel``, and with ``spectrogram`` beside
them. It prints how many gave rows or failures, the longest wait, the longest film, and which shots differ by
who ran beside; status 1 says that files were lost, whole ones failed, shots differ, or it took too long.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

from extract.engine.engine import Engine, EngineSettings
from extract.engine.task import VideoTask
from extract.selection import ExtractConfig, select

SOURCES: dict[str, tuple[str | None, str | None]] = {  # file name: codecs of picture and sound
    "a.mp4": ("libx264", "aac"),
    "a.mkv": ("libx264", "flac"),
    "a.webm": ("libvpx", "libopus"),
    "a.ts": ("mpeg2video", "mp2"),
    "a.mpg": ("mpeg2video", "mp2"),
    "a.avi": ("mpeg4", "mp2"),
    "a.wmv": ("wmv2", None),
    "a.flv": ("flv", "aac"),
    "a.mov": ("mpeg4", "pcm_s16le"),
    "a.ogg": (None, "flac"),
    "a.wav": (None, "pcm_s16le"),
    "a.mp3": (None, "libmp3lame"),
}
FPS, RATE, SECONDS = 24, 48_000, 3
KINDS = ("flip", "zero", "insert", "truncate", "header")
EXPERTS = (("scenes",), ("scenes", "lowlevel"), ("scenes", "lowlevel", "spectrogram"))
HEADER_BYTES = 600


def write_source(path: Path, picture: str | None, sound: str | None) -> Path:
    """Three seconds of moving waves with a cut in the middle, and of a tone."""
    with av.open(str(path), "w") as out:
        video: Any = None if picture is None else out.add_stream(picture, rate=FPS)
        audio: Any = None if sound is None else out.add_stream(sound, rate=RATE, layout="mono")
        if video is not None:
            video.width, video.height, video.pix_fmt = 96, 80, "yuv420p"
        if audio is not None:
            tone = (np.sin(np.arange(SECONDS * RATE) * 0.06) * 12_000).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(tone, "s16", "mono")
            frame.sample_rate, frame.pts = RATE, 0
            fit = av.AudioResampler(
                audio.format.name, "mono", RATE, frame_size=1152 if "mp" in str(sound) else 960
            )
            if sound == "aac":
                fit = av.AudioResampler("fltp", "mono", RATE, frame_size=1024)
            for part in [*fit.resample(frame), *fit.resample(None)]:
                out.mux(audio.encode(part))
            out.mux(audio.encode(None))
        if video is not None:
            y, x = np.mgrid[0:80, 0:96]
            for index in range(SECONDS * FPS):
                late = index >= SECONDS * FPS // 2
                waves = [np.sin((x * (c + 1) + y * 2 + index * 14) / (9 if late else 25)) for c in range(3)]
                image = (np.stack(waves, axis=-1) * 60 + (180 if late else 70)).astype(np.uint8)
                shown = av.VideoFrame.from_ndarray(image, "rgb24")
                shown.pts = index
                out.mux(video.encode(shown))
            out.mux(video.encode(None))
    return path


def mutate(data: bytes, kind: str, chance: random.Random) -> bytes:
    """One damaged copy."""
    changed = bytearray(data)
    at = chance.randrange(len(data) - 1)
    length = chance.randrange(1, max(2, len(data) // 8))
    if kind == "flip":
        for _ in range(chance.randrange(1, 60)):
            changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == "zero":
        changed[at : at + length] = bytes(len(changed[at : at + length]))
    elif kind == "insert":
        changed[at:at] = chance.randbytes(length)
    elif kind == "truncate":
        del changed[max(1, at) :]
    else:
        first = chance.randrange(min(HEADER_BYTES, len(data) - 4))
        value = chance.choice([0, 1, 2**31 - 1, 2**32 - 1, chance.getrandbits(32)])
        changed[first : first + 4] = value.to_bytes(4, chance.choice(["big", "little"]))
    return bytes(changed)


def write_mutants(folder: Path, count: int, seed: int) -> list[Path]:
    """The controls, which are whole, and ``count`` mutants of them, the same for the same seed."""
    paths = []
    for name, (picture, sound) in SOURCES.items():
        paths.append(write_source(folder / f"control_{name}", picture, sound))
    for number in range(count):
        source = paths[number % len(SOURCES)]
        kind = KINDS[number // len(SOURCES) % len(KINDS)]
        path = folder / f"{number:03}_{kind}_{source.name.removeprefix('control_')}"
        path.write_bytes(mutate(source.read_bytes(), kind, random.Random(f"{seed} {number}")))
        paths.append(path)
    return paths


@dataclass
class Report:
    states: Counter[tuple[str, str]] = field(default_factory=Counter)
    shots: dict[str, set[str]] = field(default_factory=dict)
    accounted: Counter[str] = field(default_factory=Counter)
    longest: tuple[float, str] = (0.0, "")
    spoilt_controls: set[str] = field(default_factory=set)

    @property
    def differing(self) -> list[str]:
        return sorted(name for name, seen in self.shots.items() if len(seen) > 1)


def run(paths: list[Path], experts: tuple[str, ...], report: Report, decoders: int) -> Iterator[float]:
    """Read all files with these experts; yields the time of each result."""
    options = {"scenes": {"detector": "content"}}
    selection = select(ExtractConfig(experts=experts, options=options, device="cpu", random_seed=0))
    tasks = [VideoTask(path.name, bytes(path), tuple(selection.experts)) for path in paths]
    with Engine(selection, EngineSettings(decoders=decoders)) as engine:
        for result in engine.run(tasks):
            name = result.task.video_id
            report.accounted[name] += 1
            for expert, outcome in result.outcomes.items():
                report.states[expert, outcome.state] += 1
                if name.startswith("control_") and outcome.state == "failed":
                    report.spoilt_controls.add(name)
            failed = result.outcomes["scenes"].failure is not None
            rows = "failed" if failed else str(result.ledger.buffers["scenes"]["scenes"].table().to_pylist())
            report.shots.setdefault(name, set()).add(rows)
            seconds = result.facts.get("duration_seconds") or 0.0
            report.longest = max(report.longest, (seconds, name))
            yield time.monotonic()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutants", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--decoders", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1200.0, help="the run must end within this time")
    chosen = parser.parse_args(arguments)
    report, slowest, started = Report(), 0.0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_mutants(Path(folder), chosen.mutants, chosen.seed)
        for experts in EXPERTS:
            last = time.monotonic()
            for now in run(paths, experts, report, chosen.decoders):
                slowest, last = max(slowest, now - last), now
    took = time.monotonic() - started
    lost = [path.name for path in paths if report.accounted[path.name] != len(EXPERTS)]
    megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{len(paths)} files x {len(EXPERTS)} sets of experts in {took:.0f} s; longest wait {slowest:.1f} s"
    )
    print(f"states: { {' '.join(key): number for key, number in sorted(report.states.items())} }")
    print(f"longest film {report.longest[0]:.0f} s ({report.longest[1]}); largest decoder {megabytes:.0f} MB")
    print(f"not accounted for: {lost}; controls that failed: {sorted(report.spoilt_controls)}")
    print(f"shots that differ by who runs beside: {report.differing}")
    return int(bool(lost or report.spoilt_controls or report.differing or took > chosen.seconds))


if __name__ == "__main__":
    sys.exit(main())
