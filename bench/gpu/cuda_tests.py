"""The tests that carry pytest's marker ``cuda``."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

from bench.gpu.measuring import GRACE_SECONDS, Gauge, Measurement

ROOT = Path(__file__).parents[2]
OUTCOMES = ("passed", "failed", "skipped", "error", "errors")
NOTHING_COLLECTED = 5


def cuda_tests(gauge: Gauge) -> None:
    """Their counts and the names of those that failed."""
    gauge.measure({"tests": " ".join(gauge.sizes.tests)}, partial(_run, gauge))


def _run(gauge: Gauge) -> Measurement:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "cuda",
        "-rf",
        "-p",
        "no:cacheprovider",
        *gauge.sizes.tests,
    ]
    seconds = max(1.0, min(gauge.seconds_left + GRACE_SECONDS / 2, 600.0))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    if done.returncode not in (0, 1, NOTHING_COLLECTED):
        raise RuntimeError(
            f"pytest ended with status {done.returncode}: {(done.stdout + done.stderr)[-500:]}"
        )
    lines = done.stdout.splitlines()
    failed = [line.removeprefix("FAILED ") for line in lines if line.startswith("FAILED ")]
    return {**counts(lines[-1] if lines else ""), "those that failed": "; ".join(failed)}


def counts(summary: str) -> dict[str, int]:
    """Of each outcome in pytest's last line: ``2 passed, 1 skipped in 0.5s``."""
    return {outcome: int(n) for n, outcome in re.findall(r"(\d+) (\w+)", summary) if outcome in OUTCOMES}
