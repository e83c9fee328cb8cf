from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import pytest

from bench.memory import (
    MOST_GROWTH,
    PIECE_SECONDS,
    extract_command,
    measure,
    render_piece,
    repeat,
    session_peaks,
)

FPS = 4
TIMES = 3

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read peaks from")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two minutes, and six minutes of the same packets."""
    folder = tmp_path_factory.mktemp("films")
    render_piece(folder / "piece.mp4", fps=FPS)
    for times in (1, TIMES):
        repeat(folder / "piece.mp4", folder / f"{times}.mkv", times=times)
    return folder / "1.mkv", folder / f"{TIMES}.mkv"


def test_the_long_film_is_the_short_one_again_and_again(films: tuple[Path, Path]) -> None:
    with av.open(str(films[1])) as container:
        times = [frame.time for frame in container.decode(video=0)]
    expected = [times[0] + i / FPS for i in range(TIMES * PIECE_SECONDS * FPS)]
    assert times == pytest.approx(expected, abs=2e-3)  # Matroska counts milliseconds
    with av.open(str(films[1])) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples / 48_000 == pytest.approx(TIMES * PIECE_SECONDS, abs=0.05)


def test_peaks_see_what_all_processes_of_a_session_take() -> None:
    child = "import subprocess, sys; x = bytearray(90 << 20); x[::4096] = b'1' * len(x[::4096]); "
    nested = child + "subprocess.run([sys.executable, '-c', sys.argv[1]])"
    run = measure([sys.executable, "-c", nested, child + "import time; time.sleep(1)"])
    assert run.status == 0, run.output
    assert len(run.process_peaks) == 2 and min(run.process_peaks) > 90 << 20
    assert run.peak_bytes == sum(run.process_peaks)
    with subprocess.Popen(["sleep", "0"]) as other:
        assert str(other.pid) not in session_peaks(1)


def test_a_longer_film_takes_no_more_memory(films: tuple[Path, Path], tmp_path: Path) -> None:
    peaks = []
    settings = ["--experts", "scenes,lowlevel,spectrogram", "--detector", "content"]
    for film in films:
        run = measure(extract_command(film, tmp_path / film.stem, settings))
        assert run.status == 0, run.output
        peaks.append(run.peak_bytes)
    assert peaks[1] <= MOST_GROWTH * peaks[0], peaks
