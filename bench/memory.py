"""Peak memory of ``python -m extract`` on a long film over that on a short one.

``python -m bench.memory`` renders two minutes of 640x360, repeats their packets to two hours, runs
the main command on each and prints the peak of the whole process tree, and the ratio. A film's
memory must not depend on its length: status 1 says that the ratio is above 1.10.

The film is Matroska, which is read as it comes. Of an MP4 (``--container mp4``) FFmpeg itself holds an
index of every packet, about 80 bytes each: some 44 MB for two hours, whoever opens it.

A process's peak is the kernel's own (VmHWM), so that none is missed between two samples; the peak
of the tree is their sum, as if all had theirs at once. Linux only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import av

from bench.demo_trailers import Shot, Texture, Trailer, render_trailer

MOST_GROWTH = 1.10
SAMPLE_SECONDS = 0.1
LEAST_SAMPLES = 3  # a process seen less often was a fork on its way to another program
PIECE_SECONDS = 120
TEXTURES: tuple[Texture, ...] = ("clouds", "bricks", "waves", "discs")
USUAL_SECONDS, LONG_SECONDS = 2.5, 20.0  # of shots; one of the long ones in two minutes
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Run:
    """What a command took: its exit status, and the peak of each of its processes, largest first."""

    status: int
    seconds: float
    process_peaks: tuple[int, ...]
    output: str

    @property
    def peak_bytes(self) -> int:
        return sum(self.process_peaks)


def render_piece(path: Path, *, fps: int = 24) -> None:
    """Two minutes of usual shots around a long one, with sound."""
    usual = int((PIECE_SECONDS - LONG_SECONDS) / USUAL_SECONDS)
    lengths = [USUAL_SECONDS] * (usual // 2) + [LONG_SECONDS] + [USUAL_SECONDS] * (usual - usual // 2)
    shots = tuple(Shot(length, TEXTURES[i % len(TEXTURES)]) for i, length in enumerate(lengths))
    render_trailer(path, Trailer("film", shots, fps=fps))


def repeat(piece: Path, path: Path, *, times: int) -> None:
    """The packets of ``piece`` again and again, each time two minutes later; nothing is encoded."""
    with av.open(str(path), "w") as out:
        streams = None
        for number in range(times):
            with av.open(str(piece)) as source:
                if streams is None:
                    streams = {s.index: out.add_stream_from_template(s) for s in source.streams}
                for packet in source.demux():
                    if packet.pts is None or packet.dts is None:
                        continue
                    if number and packet.pts < 0:
                        continue  # the audio encoder's run-in, where the last piece still sounds
                    shift = round(number * PIECE_SECONDS / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[packet.stream.index]
                    out.mux(packet)


def measure(command: list[str]) -> Run:
    """Run a command in a session of its own and watch the memory of all its processes."""
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output: list[str] = []
    reader = threading.Thread(target=lambda: output.extend(process.stdout or ()))
    reader.start()
    samples: dict[str, list[int]] = defaultdict(list)
    while process.poll() is None:
        for pid, peak in session_peaks(process.pid).items():
            samples[pid].append(peak)
        time.sleep(SAMPLE_SECONDS)
    reader.join()
    seconds = time.monotonic() - started
    peaks = sorted((seen[-1] for seen in samples.values() if len(seen) >= LEAST_SAMPLES), reverse=True)
    return Run(process.returncode, seconds, tuple(peaks), "".join(output))


def session_peaks(session: int) -> dict[str, int]:
    """The largest resident size so far of every process of a session, in bytes, by process id."""
    peaks = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) != session:
                continue
            lines = (folder / "status").read_text().splitlines()
        except OSError:  # it has just ended
            continue
        for line in lines:
            if line.startswith("VmHWM:"):
                peaks[folder.name] = 1024 * int(line.split()[1])
    return peaks


def extract_command(film: Path, out: Path, settings: list[str]) -> list[str]:
    """The main command on one film, with one decoder: more of them only blur the peak."""
    command = [sys.executable, "-m", "extract", "--videos", str(film), "--out", str(out)]
    return [*command, "--device", "cpu", "--decoders", "1", *settings]


def main() -> None:
    """Measure both films and compare."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--minutes", type=int, default=120, help="of the long film; default: 120")
    parser.add_argument("--experts", default="scenes,lowlevel,spectrogram", help="for both runs")
    parser.add_argument("--detector", default="content", help="where scenes are among the experts")
    parser.add_argument("--container", choices=("mkv", "mp4"), default="mkv")
    parser.add_argument("--random-weights", default="1", metavar="SEED")
    arguments = parser.parse_args()
    if arguments.minutes < 4:
        parser.error(f"--minutes is {arguments.minutes}; at least 4 are needed, to compare with 2")
    settings = ["--experts", arguments.experts, "--random-weights", arguments.random_weights]
    if "scenes" in arguments.experts.split(","):
        settings += ["--detector", arguments.detector]
    peaks = []
    with tempfile.TemporaryDirectory(prefix="marquee-memory-") as name:
        folder = Path(name)
        piece = folder / "piece.mp4"
        render_piece(piece)
        for minutes in (PIECE_SECONDS // 60, arguments.minutes):
            film = folder / f"{minutes}.{arguments.container}"
            repeat(piece, film, times=minutes * 60 // PIECE_SECONDS)
            run = measure(extract_command(film, folder / f"features-{minutes}", settings))
            if run.status:
                sys.exit(f"extract ended with status {run.status}:\n{run.output}")
            peaks.append(run.peak_bytes)
            processes = " + ".join(f"{peak / 1e6:.0f}" for peak in run.process_peaks)
            peak = f"peak {run.peak_bytes / 1e6:.0f} MB ({processes})"
            print(f"{minutes:4} minutes: {peak}, {run.seconds:.0f} s", flush=True)
    ratio = peaks[1] / peaks[0]
    print(f"ratio {ratio:.3f}, at most {MOST_GROWTH:.2f}")
    sys.exit(ratio > MOST_GROWTH)


if __name__ == "__main__":
    main()
