"""Damaged copies of small files of 12 containers, and runs over them: nothing hangs, nothing differs.

    python -m bench.mutants --mutants 600

Every mutant is read by each expert alone and beside others, by decoders that live through all of them, and
once more into a store. The whole files that the mutants come from are read first and again at the end.
Status 1 says that a file is not accounted for, took too long or too much memory, that a whole one failed,
that rows, states or failures depend on who ran beside or before, that an error is none that Marquee words,
or that the store is not clean.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq

from bench.rows import digest
from extract.engine.engine import Engine, VideoResult
from extract.engine.settings import EngineSettings
from extract.engine.task import VideoTask
from extract.selection import ExtractConfig, select
from pipeline import run
from pipeline.store.layout import open_store
from pipeline.store.verify import verify

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
ALL = ("scenes", "lowlevel", "spectrogram")
EXPERTS = (("scenes",), ("spectrogram",), ("scenes", "lowlevel"), ALL)
OPTIONS = {"scenes": {"detector": "content"}}
HEADER_BYTES = 600
CONTROL, AGAIN = "control_", "again_"  # what the names of whole files begin with, and of their second reading


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
        paths.append(write_source(folder / f"{CONTROL}{name}", picture, sound))
    for number in range(count):
        source = paths[number % len(SOURCES)]
        kind = KINDS[number // len(SOURCES) % len(KINDS)]
        path = folder / f"{number:03}_{kind}_{source.name.removeprefix(CONTROL)}"
        path.write_bytes(mutate(source.read_bytes(), kind, random.Random(f"{seed} {number}")))
        paths.append(path)
    return paths


@dataclass
class Report:
    """What came of all files and all sets of experts."""

    states: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)  # by name
    found: dict[tuple[str, str], set[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(set))
    longest: tuple[float, str] = (0.0, "")
    longest_film: tuple[float, str] = (0.0, "")
    spoilt: set[str] = field(default_factory=set)
    not_worded: set[str] = field(default_factory=set)

    def take(self, result: VideoResult, seconds: float) -> None:
        """Note a file's result, which came so long after the file was handed out."""
        name = result.task.video_id.removeprefix(AGAIN)
        self.results[result.task.video_id] += 1
        self.longest = max(self.longest, (seconds, name))
        self.longest_film = max(self.longest_film, (result.facts.get("duration_seconds") or 0.0, name))
        for expert, outcome in result.outcomes.items():
            self.states[f"{expert} {outcome.state}"] += 1
            tables = result.ledger.buffers[expert].values()
            failure = outcome.failure
            why = () if failure is None else (failure.stage, failure.error_type, failure.message)
            self.found[name, expert].add(
                (outcome.state, *why, *(digest(one.table().drop_columns("video_id")) for one in tables))
            )
            if failure is not None and name.startswith(CONTROL):
                self.spoilt.add(name)
            if failure is not None and failure.error_type != "MediaError":
                self.not_worded.add(f"{name}: {failure.error_type}: {failure.message}")

    @property
    def differing(self) -> list[str]:
        """Files and experts that did not give the same every time."""
        return sorted(" ".join(key) for key, seen in self.found.items() if len(seen) > 1)


def read_all(paths: Sequence[Path], experts: tuple[str, ...], report: Report, decoders: int) -> None:
    """Read all files with these experts, the whole ones once more at the end."""
    options = {name: values for name, values in OPTIONS.items() if name in experts}
    selection = select(ExtractConfig(experts=experts, options=options, device="cpu"))
    handed_out: dict[str, float] = {}

    def tasks() -> Iterator[VideoTask]:
        names = [(path.name, path) for path in paths]
        names += [(AGAIN + path.name, path) for path in paths if path.name.startswith(CONTROL)]
        for name, path in names:
            handed_out[name] = time.monotonic()
            yield VideoTask(name, bytes(path), tuple(selection.experts))

    with Engine(selection, EngineSettings(decoders=decoders)) as engine:
        for result in engine.run(tasks()):
            report.take(result, time.monotonic() - handed_out[result.task.video_id])
            result.ledger.discard()


def stored(videos: Path, out: Path, report: Report, decoders: int) -> list[str]:
    """All files into a store: what ``verify`` says of it, and whether the states are those of before."""
    run(videos, out, experts=ALL, options=OPTIONS, device="cpu", decoders=decoders)
    problems = [str(problem) for problem in verify(open_store(out)).problems]
    coverage = pq.read_table(out / "coverage.parquet").to_pylist()
    states = Counter((row["expert"], row["state"]) for row in coverage)
    before = Counter((expert, state) for (_, expert), seen in report.found.items() for state, *_ in seen)
    return problems + [
        f"{key}: {states[key]}, not {before[key]}" for key in before if states[key] != before[key]
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutants", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--decoders", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=60.0, help="that a file may take (default: 60)")
    parser.add_argument(
        "--megabytes", type=float, default=1000.0, help="that a process may take (default: 1000)"
    )
    chosen = parser.parse_args(arguments)
    report, started = Report(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        videos = Path(folder) / "videos"
        videos.mkdir()
        paths = write_mutants(videos, chosen.mutants, chosen.seed)
        for experts in EXPERTS:
            read_all(paths, experts, report, chosen.decoders)
        problems = stored(videos, Path(folder) / "features", report, chosen.decoders)
    missing = [path.name for path in paths if report.results[path.name] != len(EXPERTS)]
    seconds, film = report.longest, report.longest_film
    own, decoder = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    took = time.monotonic() - started
    print(f"{len(paths)} files x {len(EXPERTS)} sets of experts, and into a store, in {took:.0f} s")
    print(f"states: {dict(sorted(report.states.items()))}")
    print(
        f"longest time of a file {seconds[0]:.1f} s ({seconds[1]}); longest film {film[0]:.0f} s ({film[1]})"
    )
    print(f"most memory: this process {own:.0f} MB, a decoder {decoder:.0f} MB")
    wrong = {
        "not accounted for": missing,
        "whole files that failed": sorted(report.spoilt),
        "depends on who runs beside or ran before": report.differing,
        "errors that are not worded": sorted(report.not_worded),
        "the store": problems,
    }
    for what, names in wrong.items():
        print(f"{what}: {names or 'none'}")
    over = seconds[0] > chosen.seconds or max(own, decoder) > chosen.megabytes
    return int(over or any(wrong.values()))


if __name__ == "__main__":
    sys.exit(main())
