"""Throughput, time to the first batch and memory of the trainer's loader beside three others.

``python -m bench.loader --videos 26412`` writes made-up films of MovieNet's size (0.49 MB of float16 each,
12.9 GB in all) as a store, as a pickle of tensors, for mosaicml-streaming and for litData, one after the
other (so the disk holds the store's size once or twice), reads each by a process of its own, and prints a
table. Batches of 32 padded films in random order; the same padding, the same sums over all values, which
must agree. Before each pass the files leave the operating system's cache.

``first batch`` counts from opening the data, after imports. ``samples/s`` of the first pass includes opening,
of the second does not; a system's workers are the cores, or none where it says 0. ``memory`` is the sum of
all its processes' own peaks (memory that they share counts for each). mosaicml-streaming and litdata are not
dependencies: install them somewhere and name the folder, ``--libraries DIR``.

The consumer's sums take longer than some loaders do. ``--alone`` leaves them and the other systems out: the
trainer's loader alone, as it is and normalised, beside ``pq.read_table`` of the same files
(:mod:`bench.loader_alone`), and vectors through Arrow and through :mod:`train.loading.pages`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import loader_alone
from bench.loader_systems import SYSTEMS
from bench.memory import ROOT
from bench.memory import measure as measure_process

_TOLERANCE = 1e-6  # of the sums, relative to the number of values: orders of summation differ


@dataclass(frozen=True)
class Result:
    """One system with some workers."""

    system: str
    workers: int
    peak_bytes: int
    figures: dict[str, Any] | None
    disk_bytes: int
    problem: str = ""

    def row(self) -> str:
        name = f"| {self.system} | {self.workers} "
        if self.figures is None:
            return f"{name}| {self.problem} | | | | | {self.disk_bytes / 1e9:.2f} |"
        found = self.figures
        first, last = found["pass_seconds"][0], found["pass_seconds"][-1]
        return (
            f"{name}| {found['first_batch_seconds']:.2f} | {found['samples'] / first:.0f} "
            f"| {found['samples'] / last:.0f} | {found['bytes'] / last / 1e6:.0f} "
            f"| {self.peak_bytes / 1e6:.0f} | {self.disk_bytes / 1e9:.2f} |"
        )


HEADER = (
    "| system | workers | first batch s | samples/s, first pass | samples/s, second | MB/s | memory MB "
    "| disk GB |\n|---|---|---|---|---|---|---|---|"
)


def run(
    system: str, folder: Path, *, videos: int, workers: Sequence[int], keep: bool, libraries: str
) -> list[Result]:
    """Write one system's files unless they are there, and read them with each number of workers."""
    data = folder / system
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), libraries)))}
    command = [sys.executable, "-m", "bench.loader_systems"]
    if not (folder / f"{system}.written").exists():
        shutil.rmtree(data, ignore_errors=True)
        written = subprocess.run(
            [*command, "write", system, str(data), str(videos)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if written.returncode:
            problem = (written.stderr.strip().splitlines() or ["killed"])[-1]
            return [Result(system, 0, 0, None, 0, f"cannot be written: {problem[:100]}")]
        (folder / f"{system}.written").touch()
    files = [path for path in data.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    results = []
    for number in workers:
        leave_cache(files)
        arguments = ["read", system, str(data), "32", str(number), "2"]
        done = measure_process([sys.executable, "-c", _CHILD, libraries, *arguments])
        lines = [line for line in done.output.splitlines() if line.startswith("RESULT ")]
        figures = json.loads(lines[-1].removeprefix("RESULT ")) if lines else None
        problem = "" if figures else f"ended with status {done.status}"
        if not figures:
            print(done.output[-2000:], file=sys.stderr)
        results.append(Result(system, number, done.peak_bytes, figures, size, problem))
    if not keep:
        shutil.rmtree(data)
        (folder / f"{system}.written").unlink()
    return results


# The libraries' folder comes last on the path, so that what they bring hides nothing.
_CHILD = "import sys; sys.path.append(sys.argv[1]); from bench.loader_systems import main; main(sys.argv[2:])"


def leave_cache(files: Sequence[Path]) -> None:
    """Have the operating system forget the content of files, so that they are read from the disk."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def disagreements(results: Sequence[Result]) -> list[str]:
    """Systems whose sums or counts are not those of the first."""
    found = [(r.system, r.figures) for r in results if r.figures is not None]
    if not found:
        return ["no system finished"]
    name, wanted = found[0]
    tolerance = _TOLERANCE * wanted["bytes"] / 2
    return [
        f"{other} gave other samples than {name}: {figures['samples']}, {figures['bytes']}, {figures['sum']}"
        for other, figures in found[1:]
        if (figures["samples"], figures["bytes"]) != (wanted["samples"], wanted["bytes"])
        or abs(figures["sum"] - wanted["sum"]) > tolerance
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write, read, compare."""
    parser = argparse.ArgumentParser(prog="python -m bench.loader", description=__doc__)
    parser.add_argument("--videos", type=int, default=1000, help="0.49 MB each; MovieNet has 26412")
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    parser.add_argument("--keep", action="store_true", help="keep the files for another run")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--workers", type=int, nargs="+", help="default: none, and one for each core")
    parser.add_argument(
        "--libraries", default="", metavar="DIR", help="where the other systems are installed"
    )
    parser.add_argument("--alone", action="store_true", help="only the trainer's loader, beside raw reading")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="marquee-loader-") as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if chosen.alone:
            store = folder / "marquee"
            if not store.exists():
                SYSTEMS["marquee"][0](store, chosen.videos)
            print("\n".join([loader_alone.HEADER, *loader_alone.measure(store)]))
            print(f"vectors: {loader_alone.compare_parts(store)}")
            return
        results = []
        print(HEADER, flush=True)
        for system in chosen.systems:
            workers = chosen.workers or [0, os.cpu_count() or 1]
            if system == "marquee":
                workers = sorted({max(1, number) for number in workers}, reverse=True)[:1]
            for result in run(
                system,
                folder,
                videos=chosen.videos,
                workers=workers,
                keep=chosen.keep,
                libraries=chosen.libraries,
            ):
                results.append(result)
                print(result.row(), flush=True)
        wrong = disagreements(results)
        print("\n".join(wrong) if wrong else "all that finished gave the same samples")
        sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
