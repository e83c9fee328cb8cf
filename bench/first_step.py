"""How long a training takes to begin: ``python -m bench.first_step``.

A small store with planted genres (:mod:`bench.planted_store`) is trained on as by ``python -m train``, each
time in a new process, which ends where its first batch would be computed. The clock starts before the process
does. Imports by their share: ``python -X importtime -m train ...``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.planted_store import Planted, write_planted
from bench.replay import Cost

REACHED = 77  # the exit status of a training that came to its first step, and of no other
TRAINING = f"""
import os
from train.cli.commands import main
from train.runs.loop import _Loop
_Loop._step = lambda self, batch: os._exit({REACHED})
main()
"""


def measure(features: Path, labels: Path, run: Path, *, model: str, split: str) -> Cost:
    """One training, until its first step."""
    paths = ["--features", str(features), "--labels", str(labels), "--run", str(run)]
    what = ["--model", model, "--split", split]
    began = Cost.now()
    training = subprocess.run([sys.executable, "-c", TRAINING, *paths, *what], stdout=subprocess.DEVNULL)
    if training.returncode != REACHED:
        raise RuntimeError(f"the training ended with status {training.returncode} before its first step")
    return Cost.now() - began


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.first_step", description=__doc__)
    parser.add_argument("--videos", type=int, default=300, help="films of the store")
    parser.add_argument("--model", default="mlp")
    parser.add_argument("--repeat", type=int, default=5, help="trainings, of which the least counts")
    chosen = parser.parse_args(arguments)
    print(f"load average {os.getloadavg()[0]:.1f} before")
    with tempfile.TemporaryDirectory() as folder:
        features, labels = write_planted(Path(folder), Planted("mean", chosen.videos, genres=5))
        for split in ("random", "stratified"):
            costs = [
                measure(features, labels, Path(folder) / f"{split} {i}", model=chosen.model, split=split)
                for i in range(chosen.repeat)
            ]
            least = min(costs, key=lambda cost: cost.seconds)
            print(f"{split}: {least.seconds:.1f} s, {least.cpu_seconds:.1f} of processors")


if __name__ == "__main__":
    main()
