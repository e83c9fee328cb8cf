"""Peak memory of ``python -m extract`` on a long film over that on a short one.

``python -m bench.memory`` renders two minutes of 640x360, repeats their packets to two hours, runs
the main command on each and prints the peak of the whole process tree, and the ratio. A film's
memory must not depend on its length: status 1 says that the ratio is above 1.10. Linux only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import av

from bench.demo_trailers import Shot, Texture, Trailer, render_trailer

MOST_GROWTH = 1.10
SAMPLE_SECONDS = 0.1
PIECE_SECONDS = 120
TEXTURES: tuple[Texture, ...] = ("clouds", "bricks", "waves", "discs")
USUAL_SECONDS, LONG_SECONDS = 2.5, 20.0  # of shots; one of the long ones in two minutes
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Run:
    """What a command took: its exit status, and the peak of its whole process tree."""

    status: int
    seconds: float
    peak_bytes: int
    output: str


def render_piece(path: Path, *, seconds: float = PIECE_SECONDS) -> None:
    """A film of usual shots around a long one, with sound; ``seconds`` is a multiple of 2.5."""
    usual = int((seconds - LONG_SECONDS) / USUAL_SECONDS)
    lengths = [USUAL_SECONDS] * (usual // 2) + [LONG_SECONDS] + [USUAL_SECONDS] * (usual - usual // 2)
    shots = tuple(Shot(length, TEXTURES[i % len(TEXTURES)]) for i, length in enumerate(lengths))
    render_trailer(path, Trailer("film", shots))


def repeat(piece: Path, path: Path, *, times: int, seconds: float = PIECE_SECONDS) -> None:
    """The packets of ``piece`` again and again, each time ``seconds`` later; nothing is encoded."""
    with av.open(str(path), "w", format="mp4") as out:
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
                    shift = round(number * seconds / packet.time_base)
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
    peak_bytes = 0
    while process.poll() is None:
        peak_bytes = max(peak_bytes, session_bytes(process.pid))
        time.sleep(SAMPLE_SECONDS)
    reader.join()
    return Run(process.returncode, time.monotonic() - started, peak_bytes, "".join(output))


def session_bytes(session: int) -> int:
    """Memory of all processes of a session, shared pages counted once (the sum of their PSS)."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session:
                lines = (folder / "smaps_rollup").read_text().splitlines()
                total += 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except OSError:  # it has just ended
            continue
    return total


def extract_command(film: Path, out: Path, settings: list[str]) -> list[str]:
    """The main command on one film, with one decoder: more of them only blur the peak."""
    command = [sys.executable, "-m", "extract", "--videos", str(film), "--out", str(out)]
    return [*command, "--device", "cpu", "--decoders", "1", *settings]


def main() -> None:
    """Measure both films and compare."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--minutes", type=int, default=120, help="of the long film; default: 120")
    parser.add_argument("--experts", default="scenes,lowlevel,spectrogram", help="for both runs")
    parser.add_argument("--detector", default="content")
    parser.add_argument("--random-weights", default="1", metavar="SEED")
    arguments = parser.parse_args()
    settings = ["--experts", arguments.experts, "--detector", arguments.detector]
    settings += ["--random-weights", arguments.random_weights]
    peaks = []
    with tempfile.TemporaryDirectory(prefix="marquee-memory-") as name:
        folder = Path(name)
        piece = folder / "piece.mp4"
        render_piece(piece)
        for minutes in (PIECE_SECONDS // 60, arguments.minutes):
            film = folder / f"{minutes}.mp4"
            repeat(piece, film, times=minutes * 60 // PIECE_SECONDS)
            run = measure(extract_command(film, folder / f"features-{minutes}", settings))
            if run.status:
                sys.exit(f"extract ended with status {run.status}:\n{run.output}")
            peaks.append(run.peak_bytes)
            print(f"{minutes:4} minutes: peak {run.peak_bytes / 1e6:.0f} MB, {run.seconds:.0f} s", flush=True)
    ratio = peaks[1] / peaks[0]
    print(f"ratio {ratio:.3f}, at most {MOST_GROWTH:.2f}")
    sys.exit(ratio > MOST_GROWTH)


if __name__ == "__main__":
    main()
